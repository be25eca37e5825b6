# The machine's code for x86-64; machine.py has it as bytes, and says what it is for.
# Assembled by hand whenever this changes; a test compares the two.
#     as -o machine.o machine_x86_64.S && objcopy -O binary -j .text machine.o machine.bin
        .intel_syntax noprefix
        .set    CONTROL, 4                      # the fd that init's script comes on
        .set    SCRIPT, 0x700000
        .set    JOB, 0x800000

# Called by the zygote, in its memory, and so is the child until it has executed: vfork(2). Returns
# what clone3 returns. rdi, rsi: struct clone_args and its size; edx: an fd of this program; rcx:
# what the child needs (_Birth in sandbox/zygote/spawn.py).
spawn:  mov     r8, rcx
        mov     r9d, edx
        mov     eax, 435                        # clone3
        syscall
        test    rax, rax
        je      born
        ret
born:   mov     r12d, r9d
        mov     r13, r8
        mov     rdi, r13
        lea     rsi, [r13 + 8]
        mov     eax, 126                        # capset
        syscall
        test    rax, rax
        js      unborn
        lea     r14, [r13 + 32]
raise:  movzx   edx, byte ptr [r14]             # without it execve(2) takes every capability away
        cmp     edx, 255
        je      execute
        inc     r14
        mov     edi, 47                         # PR_CAP_AMBIENT
        mov     esi, 2                          # PR_CAP_AMBIENT_RAISE
        xor     r10d, r10d
        xor     r8d, r8d
        mov     eax, 157                        # prctl
        syscall
        test    rax, rax
        js      unborn
        jmp     raise
execute:
        mov     edi, r12d
        lea     rsi, [r13 + 64]                 # an empty path
        lea     rdx, [r13 + 56]                 # argv and envp: empty arrays
        mov     r10, rdx
        mov     r8d, 0x1000                     # AT_EMPTY_PATH
        mov     eax, 322                        # execveat
        syscall
unborn: mov     [r13 + 48], rax
        mov     edi, 1
        mov     eax, 231                        # exit_group
        syscall

start:  mov     ebp, CONTROL
        mov     r12d, SCRIPT
load:   mov     r9d, 8                          # ebp: fd, r12: where to
        call    fill                            # how many bytes follow
        mov     rbx, r12                        # the first entry
        mov     r9, [r12 - 8]
        call    fill
run:    mov     eax, [rbx]
        test    eax, eax
        js      special
        call    arguments
        syscall
check:  cmp     rax, [rbx + 56]                 # as it should be
        je      done
        movzx   edx, word ptr [rbx + 6]         # or the errno that does not matter
        neg     rdx
        je      strict
        cmp     rax, rdx
        je      done
strict: test    rax, rax
        js      failed
        movabs  rdx, 0x8000000000000000         # or anything but an error
        cmp     rdx, [rbx + 56]
        jne     failed
done:   add     rbx, 64
        jmp     run

failed: neg     eax                             # errno; 0: it succeeded, and is not as it should be
        jns     tell
        xor     eax, eax
tell:   movzx   ecx, byte ptr [rbx + 4]         # step
        sub     rsp, 16
        mov     dword ptr [rsp], 1              # FAILED
        mov     [rsp + 4], ecx
        mov     [rsp + 8], eax
        mov     dword ptr [rsp + 12], 0
        movzx   edi, byte ptr [rbx + 5]         # the fd to report on
        mov     rsi, rsp
        mov     edx, 16
        mov     eax, 1                          # write
        syscall
quit:   mov     edi, 1
        mov     eax, 231                        # exit_group
        syscall

arguments:
        mov     rdi, [rbx + 8]
        mov     rsi, [rbx + 16]
        mov     rdx, [rbx + 24]
        mov     r10, [rbx + 32]
        mov     r8, [rbx + 40]
        mov     r9, [rbx + 48]
        ret

fill:   test    r9, r9                          # ebp: fd, r12: where to, r9: how much
        je      full
        mov     edi, ebp
        mov     rsi, r12
        mov     rdx, r9
        xor     eax, eax                        # read
        syscall
        test    rax, rax
        jle     quit                            # who writes it is gone
        add     r12, rax
        sub     r9, rax
        jmp     fill
full:   ret

special:
        call    arguments
        cmp     al, 1
        je      fork
        cmp     al, 2
        je      compare
        cmp     al, 3
        je      next
        cmp     al, 4
        je      return
        cmp     al, 5
        je      copy
        cmp     al, 6
        je      job
        cmp     al, 7
        je      serve
        mov     ebp, edi                        # await
        mov     r12, rsi
        mov     r9, rdx
        call    fill
        jmp     done

fork:   mov     eax, 435                        # clone3
        mov     r12, rdx                        # the child's first entry
        syscall
        mov     r14, rax                        # whose end is told
        test    rax, rax
        jne     check
        mov     rbx, r12
        jmp     run

compare:
        mov     rcx, rdx
        repe    cmpsb
        je      done
        xor     eax, eax
        jmp     failed

next:   mov     ebp, edi
        mov     r12, rsi
        test    rdx, rdx
        je      load
        mov     r15, rdx                        # where that one returns to
        jmp     load

return: mov     rbx, r15
        jmp     run

copy:   mov     r12, rdx                        # rdi: from, rsi: to, rdx: how much, r10: a buffer
        mov     r13, r10
copied: test    r12, r12
        je      done
        mov     rdi, [rbx + 8]
        mov     rsi, r13
        mov     edx, 65536
        cmp     rdx, r12
        cmova   rdx, r12
        xor     eax, eax                        # read
        syscall
        test    rax, rax
        jle     quit
        sub     r12, rax
        mov     r9, rax
        mov     rsi, r13
put:    mov     rdi, [rbx + 16]
        mov     rdx, r9
        mov     eax, 1                          # write
        syscall
        test    rax, rax
        js      failed
        add     rsi, rax
        sub     r9, rax
        jne     put
        jmp     copied

job:    mov     ebp, edi
        mov     r12d, JOB
        mov     r9d, 8
        call    fill                            # how many bytes follow
        mov     r9, [JOB]
        call    fill
        mov     r12, [JOB + 24]                 # paths to try, ending with a null
        xor     r14d, r14d                      # the errno to be told
try:    mov     rdi, [r12]
        mov     eax, r14d
        test    rdi, rdi
        je      tell
        add     r12, 8
        mov     rsi, [JOB + 8]                  # argv
        mov     rdx, [JOB + 16]                 # envp
        mov     eax, 59                         # execve
        syscall
        test    r14d, r14d                      # a file that exists and may not be executed
        je      keep                            # is told rather than one that is not there
        cmp     r14d, 2                         # ENOENT
        je      keep
        cmp     r14d, 20                        # ENOTDIR
        jne     try
keep:   mov     r14d, eax
        neg     r14d
        jmp     try

# Pid 1. r14: the payload's pid until its end is told; r13: whether it was said that nobody is left.
serve:  mov     r15, rbx                        # a late script returns to here
        mov     rbp, r9                         # _serve in init.py
        mov     rdi, rbp                        # two struct pollfd: control, and children
        mov     esi, 2
        xor     edx, edx
        xor     r10d, r10d
        mov     eax, 271                        # ppoll
        syscall
        cmp     word ptr [rbp + 14], 0
        je      heard
        mov     edi, [rbp + 8]
        lea     rsi, [rbp + 96]
        mov     edx, 128
        xor     eax, eax                        # read
        syscall
heard:  cmp     word ptr [rbp + 6], 0
        je      reap
        mov     qword ptr [rbp + 56], 1040      # msg_controllen, which the kernel writes to
        mov     edi, [rbp]
        lea     rsi, [rbp + 16]
        mov     edx, 0x40000100                 # MSG_CMSG_CLOEXEC, MSG_WAITALL
        mov     eax, 47                         # recvmsg
        syscall
        cmp     rax, 8
        jne     quit                            # the supervisor is gone
        mov     r9, [rbp + 88]
        test    r9, r9
        je      kill
        mov     r12, [rbx + 40]
        add     r12, 8                          # as if that had been read here, too
        mov     ebp, [rbp]
        mov     rbx, r12
        call    fill
        jmp     run
kill:   mov     edi, -1                         # atomic against forks: no child is born to
        mov     esi, 9                          # a parent with a pending SIGKILL
        mov     eax, 62                         # kill
        syscall
reap:   xor     r12d, r12d                      # what is to be told: 1 EXITED, 2 EMPTY
dead:   xor     edi, edi                        # P_ALL
        xor     esi, esi
        lea     rdx, [rbp + 96]
        mov     r10d, 0x1000005                 # WNOHANG, WEXITED, WNOWAIT
        xor     r8d, r8d
        mov     eax, 247                        # waitid
        syscall
        test    rax, rax
        js      empty
        mov     edi, [rbp + 112]                # si_pid
        test    edi, edi
        je      report
        cmp     edi, r14d
        jne     forget
        xor     r14d, r14d
        or      r12d, 1
        mov     eax, [rbp + 104]                # si_code
        mov     edx, [rbp + 120]                # si_status
        mov     [rbp + 248], edx
        mov     dword ptr [rbp + 252], 1        # executed
        xor     ecx, ecx
        cmp     eax, 1                          # CLD_EXITED
        setne   cl
        mov     [rbp + 244], ecx                # signaled
        or      ecx, edx
        je      forget                          # the stub never ends well
        mov     edi, -100                       # the name of a zombie is still there
        mov     rsi, [rbx + 24]
        mov     edx, 0x80000                    # O_CLOEXEC
        xor     r10d, r10d
        mov     eax, 257                        # openat
        syscall
        mov     r8d, eax
        mov     edi, eax
        lea     rsi, [rbp + 224]
        mov     edx, 16
        xor     eax, eax                        # read
        syscall
        mov     edi, r8d
        mov     eax, 3                          # close
        syscall
        mov     rsi, [rbx + 32]
        lea     rdi, [rbp + 224]
        mov     ecx, 16
        repe    cmpsb                           # as long as it is the stub's: no exec yet
        jne     forget
        mov     dword ptr [rbp + 252], 0
forget: mov     edi, [rbp + 112]
        xor     esi, esi
        xor     edx, edx
        xor     r10d, r10d
        mov     eax, 61                         # wait4
        syscall
        jmp     dead
empty:  test    r13d, r13d
        jne     report
        mov     r13d, 1                         # nobody is left, so nobody is ever born again
        or      r12d, 2
report: test    r12d, r12d
        je      run
        lea     rsi, [rbp + 240]
        mov     edx, 16
        cmp     r12d, 2
        jb      send
        lea     rsi, [rbp + 256]
        je      send
        lea     rsi, [rbp + 240]
        mov     edx, 32
send:   mov     edi, [rbp]
        mov     eax, 1                          # write
        syscall
        jmp     run
