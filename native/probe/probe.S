/* Decides whether an accelerator really runs guests: does what every kernel does in its first milliseconds and says a
 * letter per stage on port 0x402. A at the entry, B paging, C long mode, D interrupt table and task state, E breakpoint,
 * F invalid instruction, G page fault, H timer interrupt out of a halt, I system call from ring 3, K vector registers.
 * The end is 0x2a on port 0xf4: QEMU's exit code is then 85. Entered by the PVH boot protocol: 32 bits, flat, no paging. */

.macro stage letter
  movw $0x402, %dx
  movb $\letter, %al
  outb %al, %dx
.endm

.section .note, "a", @note
  .align 4
  .long 4, 8, 18          /* name "Xen", XEN_ELFNOTE_PHYS32_ENTRY */
  .asciz "Xen"
  .quad entry

.text
.code32
.globl entry
entry:
  cli
  cld
  movl $stack_top, %esp
  stage 'A'
  /* The first 4 GiB map to themselves in 2 MiB pages; the timer's registers lie at their end. Ring 3 may have them all. */
  movl $directories, %edi
  movl $0x87, %eax
  movl $2048, %ecx
1:movl %eax, (%edi)
  movl $0, 4(%edi)
  addl $0x200000, %eax
  addl $8, %edi
  loop 1b
  movl $directories + 7, %eax
  movl $pointers, %edi
  movl $4, %ecx
2:movl %eax, (%edi)
  addl $0x1000, %eax
  addl $8, %edi
  loop 2b
  movl $pointers + 7, top
  movl $top, %eax
  movl %eax, %cr3
  movl %cr4, %eax
  orl $0x620, %eax        /* PAE, OSFXSR, OSXMMEXCPT */
  movl %eax, %cr4
  movl $0xc0000080, %ecx  /* EFER: LME, SCE */
  rdmsr
  orl $0x101, %eax
  wrmsr
  movl %cr0, %eax
  andl $0xfffffffb, %eax  /* no FPU emulation */
  orl $0x80000003, %eax
  movl %eax, %cr0
  stage 'B'
  lgdt gdt_pointer
  ljmp $0x08, $long_mode

.code64
long_mode:
  movl $0x10, %eax
  movl %eax, %ds
  movl %eax, %es
  movl %eax, %ss
  xorl %eax, %eax
  movl %eax, %fs
  movl %eax, %gs
  movq $stack_top, %rsp
  stage 'C'

.macro gate vector handler
  movq $\handler, %rax
  movq $idt + \vector * 16, %rdi
  movw %ax, (%rdi)
  movw $0x08, 2(%rdi)
  movw $0x8e00, 4(%rdi)
  shrq $16, %rax
  movw %ax, 6(%rdi)
  shrq $16, %rax
  movl %eax, 8(%rdi)
.endm
  gate 3 on_breakpoint
  gate 6 on_invalid
  gate 14 on_page_fault
  gate 32 on_timer
  lidt idt_pointer
  movq $stack_top, tss + 4
  movq $tss, %rax
  movw %ax, gdt + 0x32
  shrq $16, %rax
  movb %al, gdt + 0x34
  movb %ah, gdt + 0x37
  movl $0x30, %eax
  ltr %ax
  stage 'D'

  xorl %ebx, %ebx
  int3
  cmpl $3, %ebx
  jne fail
  stage 'E'

  ud2
  cmpl $6, %ebx
  jne fail
  stage 'F'

  movq $0x8000001234, %rsi
  movb (%rsi), %al        /* two bytes long: the handler steps over it */
  cmpl $14, %ebx
  jne fail
  stage 'G'

  movb $0xff, %al         /* the old interrupt controller stays out of it */
  outb %al, $0x21
  outb %al, $0xa1
  movl $0xfee00000, %esi
  movl $0x1ff, 0xf0(%rsi)
  movl $0xb, 0x3e0(%rsi)
  movl $32, 0x320(%rsi)
  movl $200000, 0x380(%rsi)
3:sti
  hlt
  cli
  cmpl $32, %ebx
  jne 3b
  stage 'H'

  movl $0xc0000081, %ecx  /* STAR: kernel 0x08, user 0x18 + 8 and + 16 */
  xorl %eax, %eax
  movl $0x00180008, %edx
  wrmsr
  movl $0xc0000082, %ecx  /* LSTAR */
  movl $on_system_call, %eax
  xorl %edx, %edx
  wrmsr
  movl $0xc0000084, %ecx  /* FMASK: no interrupts */
  movl $0x200, %eax
  wrmsr
  movq $user, %rcx
  movl $2, %r11d
  sysretq
user:
  movl $0x51ca11, %ebx
  syscall
  jmp fail
on_system_call:
  movq $stack_top, %rsp
  movl %cs, %eax
  cmpl $0x08, %eax
  jne fail
  cmpl $0x51ca11, %ebx
  jne fail
  stage 'I'

  movaps ones(%rip), %xmm0
  addps %xmm0, %xmm0
  movaps %xmm0, sum(%rip)
  cmpl $0x40000000, sum(%rip)
  jne fail
  stage 'K'
  movb $0x2a, %al
  outb %al, $0xf4
fail:
  cli
  hlt
  jmp fail

on_breakpoint:
  movl $3, %ebx
  iretq
on_invalid:
  addq $2, (%rsp)
  movl $6, %ebx
  iretq
on_page_fault:
  addq $8, %rsp           /* the error code */
  movq %cr2, %rax
  cmpq %rax, %rsi
  jne fail
  addq $2, (%rsp)
  movl $14, %ebx
  iretq
on_timer:
  movl $32, %ebx
  movl $0xfee00000, %eax
  movl $0, 0xb0(%rax)
  iretq

.data
.align 16
ones: .long 0x3f800000, 0x3f800000, 0x3f800000, 0x3f800000
sum: .long 0, 0, 0, 0
gdt:
  .quad 0
  .quad 0x00af9b000000ffff  /* 08 kernel code */
  .quad 0x00cf93000000ffff  /* 10 kernel data */
  .quad 0x00cffb000000ffff  /* 18 user code, 32 bits */
  .quad 0x00cff3000000ffff  /* 20 user data */
  .quad 0x00affb000000ffff  /* 28 user code */
  .quad 0x0000890000000067  /* 30 task state, address filled in */
  .quad 0
gdt_pointer:
  .word gdt_pointer - gdt - 1
  .quad gdt
idt_pointer:
  .word 33 * 16 - 1
  .quad idt

.bss
.align 4096
top: .skip 4096
pointers: .skip 4096
directories: .skip 4 * 4096
idt: .skip 33 * 16
.align 16
tss: .skip 104
.align 16
stack: .skip 4096
stack_top:
.section .note.GNU-stack, "", @progbits
