// The machine's code for aarch64; machine.py has it as bytes, and says what it is for.
// Assembled by hand whenever this changes; a test compares the two.
//     as -o machine.o machine_aarch64.S && objcopy -O binary -j .text machine.o machine.bin
        .set    CONTROL, 4                      // the fd that init's script comes on
        .set    SCRIPT, 0x700000
        .set    JOB, 0x800000

// Called by the zygote, in its memory, and so is the child until it has executed: vfork(2). Returns
// what clone3 returns. x0, x1: struct clone_args and its size; w2: an fd of this program; x3: what
// the child needs (sandbox/zygote/spawn.py: class _Birth).
spawn:  mov     w9, w2
        mov     x10, x3
        mov     x8, #435                        // clone3
        svc     #0
        cbz     x0, born
        ret
born:   mov     x0, x10
        add     x1, x10, #8
        mov     x8, #91                         // capset
        svc     #0
        tbnz    x0, #63, unborn
        add     x11, x10, #32
raise:  ldrb    w2, [x11], #1                   // without it execve(2) takes every capability away
        cmp     w2, #255
        b.eq    execute
        mov     x0, #47                         // PR_CAP_AMBIENT
        mov     x1, #2                          // PR_CAP_AMBIENT_RAISE
        mov     x3, #0
        mov     x4, #0
        mov     x8, #167                        // prctl
        svc     #0
        tbnz    x0, #63, unborn
        b       raise
execute:
        mov     w0, w9
        add     x1, x10, #64                    // an empty path
        add     x2, x10, #56                    // argv and envp: empty arrays
        mov     x3, x2
        mov     x4, #0x1000                     // AT_EMPTY_PATH
        mov     x8, #281                        // execveat
        svc     #0
unborn: str     x0, [x10, #48]
        mov     x0, #1
        mov     x8, #94                         // exit_group
        svc     #0

start:  mov     w20, #CONTROL
        mov     x21, #SCRIPT
load:   mov     x22, #8                         // w20: fd, x21: where to
        bl      fill                            // how many bytes follow
        mov     x19, x21                        // the first entry
        ldur    x22, [x21, #-8]
        bl      fill
run:    ldr     w8, [x19]
        tbnz    w8, #31, special
        bl      arguments
        svc     #0
check:  ldr     x9, [x19, #56]                  // as it should be
        cmp     x0, x9
        b.eq    done
        ldrh    w10, [x19, #6]                  // or the errno that does not matter
        cbz     w10, strict
        cmn     x0, x10
        b.eq    done
strict: tbnz    x0, #63, failed
        mov     x10, #0x8000000000000000        // or anything but an error
        cmp     x9, x10
        b.ne    failed
done:   add     x19, x19, #64
        b       run

failed: neg     w0, w0                          // errno; 0: it succeeded and is not as it should be
        tbz     w0, #31, tell
        mov     w0, #0
tell:   ldrb    w9, [x19, #4]                   // step
        sub     sp, sp, #16
        mov     w10, #1                         // FAILED
        stp     w10, w9, [sp]
        stp     w0, wzr, [sp, #8]
        ldrb    w0, [x19, #5]                   // the fd to report on
        mov     x1, sp
        mov     x2, #16
        mov     x8, #64                         // write
        svc     #0
quit:   mov     x0, #1
        mov     x8, #94                         // exit_group
        svc     #0

arguments:
        ldp     x0, x1, [x19, #8]
        ldp     x2, x3, [x19, #24]
        ldp     x4, x5, [x19, #40]
        ret

fill:   cbz     x22, full                       // w20: fd, x21: where to, x22: how much
        mov     w0, w20
        mov     x1, x21
        mov     x2, x22
        mov     x8, #63                         // read
        svc     #0
        cmp     x0, #0
        b.le    quit                            // who writes it is gone
        add     x21, x21, x0
        sub     x22, x22, x0
        b       fill
full:   ret

special:
        bl      arguments
        and     w8, w8, #0xff
        cmp     w8, #1
        b.eq    fork
        cmp     w8, #2
        b.eq    compare
        cmp     w8, #3
        b.eq    next
        cmp     w8, #4
        b.eq    return
        cmp     w8, #5
        b.eq    copy
        cmp     w8, #6
        b.eq    job
        cmp     w8, #7
        b.eq    serve
        mov     w20, w0                         // await
        mov     x21, x1
        mov     x22, x2
        bl      fill
        b       done

fork:   mov     x8, #435                        // clone3
        mov     x27, x2                         // the child's first entry
        svc     #0
        mov     w24, w0                         // whose end is told
        cbnz    x0, check
        mov     x19, x27
        b       run

compare:
        cbz     x2, done
        ldrb    w9, [x0], #1
        ldrb    w10, [x1], #1
        sub     x2, x2, #1
        cmp     w9, w10
        b.eq    compare
        mov     x0, #0
        b       failed

next:   mov     w20, w0
        mov     x21, x1
        cbz     x2, load
        mov     x25, x2                         // where that one returns to
        b       load

return: mov     x19, x25
        b       run

copy:   mov     x27, x2                         // x0: from, x1: to, x2: how much, x3: a buffer
        mov     x28, x3
copied: cbz     x27, done
        ldr     x0, [x19, #8]
        mov     x1, x28
        mov     x2, #65536
        cmp     x2, x27
        csel    x2, x27, x2, hi
        mov     x8, #63                         // read
        svc     #0
        cmp     x0, #0
        b.le    quit
        sub     x27, x27, x0
        mov     x22, x0
put:    ldr     x0, [x19, #16]
        mov     x2, x22
        mov     x8, #64                         // write
        svc     #0
        tbnz    x0, #63, failed
        add     x1, x1, x0
        subs    x22, x22, x0
        b.ne    put
        b       copied

job:    mov     w20, w0
        mov     x21, #JOB
        mov     x28, x21
        mov     x22, #8
        bl      fill                            // how many bytes follow
        ldr     x22, [x28]
        bl      fill
        ldr     x27, [x28, #24]                 // paths to try, ending with a null
        mov     w24, #0                         // the errno to be told
try:    ldr     x9, [x27], #8
        mov     w0, w24
        cbz     x9, tell
        mov     x0, x9
        ldp     x1, x2, [x28, #8]               // argv, envp
        mov     x8, #221                        // execve
        svc     #0
        cbz     w24, keep                       // a file that exists and may not be executed
        cmp     w24, #2                         // is told rather than one that is not there:
        b.eq    keep                            // ENOENT
        cmp     w24, #20                        // ENOTDIR
        b.ne    try
keep:   neg     w24, w0
        b       try

// Pid 1. w24: the payload's pid until its end is told; w23: whether it was said that nobody is
// left.
serve:  mov     x25, x19                        // a late script returns to here
        mov     x26, x5                         // init.py: _serve
        mov     x0, x26                         // two struct pollfd: control, and children
        mov     x1, #2
        mov     x2, #0
        mov     x3, #0
        mov     x8, #73                         // ppoll
        svc     #0
        ldrh    w9, [x26, #14]
        cbz     w9, heard
        ldr     w0, [x26, #8]
        add     x1, x26, #96
        mov     x2, #128
        mov     x8, #63                         // read
        svc     #0
heard:  ldrh    w9, [x26, #6]
        cbz     w9, reap
        mov     x9, #1040
        str     x9, [x26, #56]                  // msg_controllen, which the kernel writes to
        ldr     w0, [x26]
        add     x1, x26, #16
        mov     w2, #0x100                      // MSG_WAITALL
        movk    w2, #0x4000, lsl #16            // MSG_CMSG_CLOEXEC
        mov     x8, #212                        // recvmsg
        svc     #0
        cmp     x0, #8
        b.ne    quit                            // the supervisor is gone
        ldr     x22, [x26, #88]
        cbz     x22, kill
        ldr     x21, [x19, #40]
        add     x21, x21, #8                    // as if that had been read here, too
        ldr     w20, [x26]
        mov     x19, x21
        bl      fill
        b       run
kill:   mov     x0, #-1                         // atomic against forks: no child is born to
        mov     x1, #9                          // a parent with a pending SIGKILL
        mov     x8, #129                        // kill
        svc     #0
reap:   mov     w27, #0                         // what is to be told: 1 EXITED, 2 EMPTY
dead:   mov     x0, #0                          // P_ALL
        mov     x1, #0
        add     x2, x26, #96
        mov     w3, #5                          // WNOHANG, WEXITED
        movk    w3, #0x100, lsl #16             // WNOWAIT
        mov     x4, #0
        mov     x8, #95                         // waitid
        svc     #0
        tbnz    x0, #63, empty
        ldr     w9, [x26, #112]                 // si_pid
        cbz     w9, report
        cmp     w9, w24
        b.ne    forget
        mov     w24, #0
        orr     w27, w27, #1
        ldr     w9, [x26, #104]                 // si_code
        ldr     w10, [x26, #120]                // si_status
        cmp     w9, #1                          // CLD_EXITED
        cset    w9, ne
        mov     w11, #1
        stp     w9, w10, [x26, #244]            // signaled
        str     w11, [x26, #252]                // executed
        orr     w9, w9, w10
        cbz     w9, forget                      // the stub never ends well
        mov     x0, #-100                       // the name of a zombie is still there
        ldr     x1, [x19, #24]
        mov     x2, #0x80000                    // O_CLOEXEC
        mov     x3, #0
        mov     x8, #56                         // openat
        svc     #0
        mov     w28, w0
        add     x1, x26, #224
        mov     x2, #16
        mov     x8, #63                         // read
        svc     #0
        mov     w0, w28
        mov     x8, #57                         // close
        svc     #0
        ldr     x9, [x19, #32]
        ldp     x10, x11, [x9]
        ldp     x12, x13, [x26, #224]
        cmp     x10, x12                        // as long as it is the stub's: no exec yet
        ccmp    x11, x13, #0, eq
        b.ne    forget
        str     wzr, [x26, #252]
forget: ldr     w0, [x26, #112]
        mov     x1, #0
        mov     x2, #0
        mov     x3, #0
        mov     x8, #260                        // wait4
        svc     #0
        b       dead
empty:  cbnz    w23, report
        mov     w23, #1                         // nobody is left, so nobody is ever born again
        orr     w27, w27, #2
report: cbz     w27, run
        add     x1, x26, #240
        mov     x2, #16
        cmp     w27, #2
        b.lo    send
        add     x1, x26, #256
        b.eq    send
        add     x1, x26, #240
        mov     x2, #32
send:   ldr     w0, [x26]
        mov     x8, #64                         // write
        svc     #0
        b       run
