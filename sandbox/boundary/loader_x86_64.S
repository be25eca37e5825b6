# The loader's code for x86-64; loader.py has it as bytes, and says what it is for.
# Assembled by hand whenever this changes; a test compares the two.
#     as -o loader.o loader_x86_64.S && objcopy -O binary -j .text loader.o loader.bin
        .intel_syntax noprefix
        .set    DATA, 0x600400
        .set    JOB, 0x700000
        .set    REPORT, 3                       # the report's fd

        mov     rsi, [rsp + 8]                  # argv[0]: the name that says "not executed yet"
        mov     edi, 15                         # PR_SET_NAME
        mov     eax, 157                        # prctl
        syscall
        mov     edi, REPORT
        mov     esi, 2                          # F_SETFD
        mov     edx, 1                          # FD_CLOEXEC: no payload inherits it
        mov     eax, 72                         # fcntl
        syscall
        mov     esi, 1                          # F_GETFD
        mov     eax, 72
        syscall
        mov     ebp, 23                         # step: descriptors
        cmp     eax, 1
        jne     failed
        mov     edi, 1                          # SECCOMP_SET_MODE_FILTER
        mov     esi, [DATA]                     # flags
        mov     edx, DATA + 8                   # struct sock_fprog
        mov     eax, 317                        # seccomp
        syscall
        mov     ebp, 27                         # step: filter
        cmp     eax, [DATA + 4]                 # the listener's fd, or 0
        jne     failed

        mov     esi, DATA + 24                  # LOCKED
        call    send
        mov     r12d, JOB
        mov     r13d, 8
        call    fill                            # how many bytes follow
        mov     r13, [JOB]
        call    fill
        mov     rbx, [JOB + 24]                 # paths to try, ending with a null
        xor     r14d, r14d                      # the errno to be told
next:   mov     rdi, [rbx]
        test    rdi, rdi
        je      not_executed
        add     rbx, 8
        mov     rsi, [JOB + 8]                  # argv
        mov     rdx, [JOB + 16]                 # envp
        mov     eax, 59                         # execve
        syscall
        test    r14d, r14d                      # a file that exists and may not be executed
        je      keep                            # is told rather than one that is not there
        cmp     r14d, 2                         # ENOENT
        je      keep
        cmp     r14d, 20                        # ENOTDIR
        jne     next
keep:   mov     r14d, eax
        neg     r14d
        jmp     next

not_executed:
        mov     ebp, 28                         # step: exec
        mov     eax, r14d
        neg     eax
failed: neg     eax                             # errno; 0: it succeeded, and is not what it should be
        jns     tell
        xor     eax, eax
tell:   mov     [DATA + 44], ebp
        mov     [DATA + 48], eax
        mov     esi, DATA + 40                  # FAILED, with step and errno
        call    send
quit:   mov     edi, 1
        mov     eax, 231                        # exit_group
        syscall

send:   mov     edi, REPORT
        mov     edx, 16
        mov     eax, 1                          # write
        syscall
        ret

fill:   test    r13, r13
        je      full
        mov     edi, REPORT
        mov     rsi, r12
        mov     rdx, r13
        xor     eax, eax                        # read
        syscall
        test    rax, rax
        jle     quit                            # the supervisor is gone
        add     r12, rax
        sub     r13, rax
        jmp     fill
full:   ret
