// Package deferral keeps the interrupts of a queue off while somebody polls it, and puts back what was before: when the last one
// who polls ends, or, after those have been killed, when the next one looks at the interface.
//
// What is set is defer-hard-irqs and gro-flush-timeout (Documentation/networking/napi.rst, "Software IRQ coalescing"): of one
// NAPI where the kernel can (Linux 6.13), so that queues of others keep theirs, else of the interface, in sysfs. The kernel ties
// neither to the life of a process, so what was before is kept in a file beside those who asked for the change:
//
//	        Set: file, then setting                  Undo by the last, or Recover
//	before ──────────────────────────► after ─────────────────────────────────────► before
//	                                     │ somebody else changes it
//	                                     └──────────────────────────► left as it is
package deferral
