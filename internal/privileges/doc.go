// Package privileges gives up what a process needed only to open its sockets, for good and on every thread:
//
//	root, or CAP_NET_ADMIN + CAP_NET_RAW + CAP_BPF
//	      │  interface, sockets, program, ports, control socket are open
//	      ▼  Drop
//	supplementary groups, group, user ─► capabilities: bounding, ambient, inheritable, permitted, effective
//	      │
//	      ▼
//	no_new_privs ─► system call filter (seccomp) ─► each thread looked at: is it so?
//
// After that, whoever makes the process run code of his own can attach no program, open no raw socket, start no other program and read no
// file that everybody may not: see docs/privileges.md for what still works, and what does not.
//
// Go programs have many threads, and Linux knows privileges of threads only. What is of the user and the groups goes through package
// syscall, which changes all threads at once; the rest through libcap's package psx, which does that with and without cgo. The filter is
// laid on all threads by the kernel (SECCOMP_FILTER_FLAG_TSYNC). Threads that come later inherit all of it.
//
// The filter is a list of [Rule]s, most of them just a system call's name; where an argument decides, it is looked at. The program is
// assembled here, and not by one of the libraries for that, because the one that needs no C (github.com/elastic/go-seccomp-bpf v1.6.0)
// compares the next system call's number with an argument of the last, after a rule with arguments that did not match.
package privileges
