// Package vm runs programs in a virtual machine that has what a veth pair has not: network cards whose drivers do zero-copy. It
// is made of Debian's packages and of this program, and changes nothing of the machine that it runs on.
//
//	        apt, with a state of its own               this program, built with CGO_ENABLED=0
//	   ┌──────────────┴──────────────┐                      ┌──────────┴──────────┐
//	QEMU ≥ 8,                Linux ≥ 6.14: the image      on the host:         in the guest:
//	the machine's own        as an ELF file, modules      fetch, boot, read    /init (package guest)
//	or unpacked                      │                    the report           mounts, loads, runs, reports
//	   └───── cache ─────────────────┘                          ▲                     │
//	                                                            └──── virtio port ────┘
//	┌ guest ────────────────────────────────────────────────────────┐
//	│  test of a package, as the only program                       │
//	│        │ AF_XDP, zero-copy            │ the kernel's TCP      │
//	│   nic0 (virtio_net or igb)       nic1 (the same)              │
//	└────────┼──────────────────────────────┼───────────────────────┘
//	         └──────── the wire ────────────┘    a hub inside QEMU, or two taps and a bridge in a namespace without a name
//
// [Prepare] fetches what is missing and makes an archive with the drivers, both once, in the user's cache directory. [Load]
// builds the tests of a package, or takes a program. [Guest.Run] boots, runs the steps and ends QEMU as soon as the guest says
// that it is done. The machine lives in memory only.
//
// QEMU emulates the processor, so that a guest is the same on a machine without virtualization: everything in it is 10 to 20
// times slower. Nothing waits without a bound, and QEMU ends with the process that started it, however that ends.
package vm
