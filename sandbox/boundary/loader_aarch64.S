// The loader's code for aarch64; loader.py has it as bytes, and says what it is for.
// Assembled by hand whenever this changes; a test compares the two.
//     as -o loader.o loader_aarch64.S && objcopy -O binary -j .text loader.o loader.bin
        .set    REPORT, 3                       // the report's fd

        mov     x28, #0x0400
        movk    x28, #0x60, lsl #16             // DATA
        mov     x27, #0x700000                  // JOB
        ldr     x1, [sp, #8]                    // argv[0]: the name that says "not executed yet"
        mov     x0, #15                         // PR_SET_NAME
        mov     x8, #167                        // prctl
        svc     #0
        mov     x0, #REPORT
        mov     x1, #2                          // F_SETFD
        mov     x2, #1                          // FD_CLOEXEC: no payload inherits it
        mov     x8, #25                         // fcntl
        svc     #0
        mov     x0, #REPORT
        mov     x1, #1                          // F_GETFD
        svc     #0
        mov     w20, #23                        // step: descriptors
        cmp     w0, #1
        b.ne    failed
        mov     x0, #1                          // SECCOMP_SET_MODE_FILTER
        ldr     w1, [x28]                       // flags
        add     x2, x28, #8                     // struct sock_fprog
        mov     x8, #277                        // seccomp
        svc     #0
        mov     w20, #27                        // step: filter
        ldr     w1, [x28, #4]                   // the listener's fd, or 0
        cmp     w0, w1
        b.ne    failed

        add     x1, x28, #24                    // LOCKED
        bl      send
        mov     x21, x27
        mov     x22, #8
        bl      fill                            // how many bytes follow
        ldr     x22, [x27]
        bl      fill
        ldr     x23, [x27, #24]                 // paths to try, ending with a null
        mov     w24, #0                         // the errno to be told
next:   ldr     x0, [x23], #8
        cbz     x0, not_executed
        ldr     x1, [x27, #8]                   // argv
        ldr     x2, [x27, #16]                  // envp
        mov     x8, #221                        // execve
        svc     #0
        cbz     w24, keep                       // a file that exists and may not be executed
        cmp     w24, #2                         // is told rather than one that is not there:
        b.eq    keep                            // ENOENT
        cmp     w24, #20                        // ENOTDIR
        b.ne    next
keep:   neg     w24, w0
        b       next

not_executed:
        mov     w20, #28                        // step: exec
        neg     w0, w24
failed: neg     w0, w0                          // errno; 0: it succeeded, and is not what it should be
        tbz     w0, #31, tell
        mov     w0, #0
tell:   str     w20, [x28, #44]
        str     w0, [x28, #48]
        add     x1, x28, #40                    // FAILED, with step and errno
        bl      send
quit:   mov     x0, #1
        mov     x8, #94                         // exit_group
        svc     #0

send:   mov     x0, #REPORT
        mov     x2, #16
        mov     x8, #64                         // write
        svc     #0
        ret

fill:   cbz     x22, full
        mov     x0, #REPORT
        mov     x1, x21
        mov     x2, x22
        mov     x8, #63                         // read
        svc     #0
        cmp     x0, #0
        b.le    quit                            // the supervisor is gone
        add     x21, x21, x0
        sub     x22, x22, x0
        b       fill
full:   ret
