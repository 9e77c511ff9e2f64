// Package netdev asks the kernel's "netdev" generic netlink family what an interface's driver can do for XDP and AF_XDP, what
// serves its queues, and sets how one NAPI waits for packets. The family is described by Documentation/netlink/specs/netdev.yaml
// in the kernel; the names here are those of that file.
//
// It has grown over many releases:
//
//	6.3   dev-get: xdp-features
//	6.6   xdp-zc-max-segs
//	6.7   xdp-rx-metadata-features
//	6.8   xsk-features; queue-get and napi-get: napi-id, irq, pid
//	6.13  napi-set, defer-hard-irqs, gro-flush-timeout, irq-suspend-timeout
//	6.15  xsk of a queue
//	6.17  threaded
//
// What a kernel does not tell is unknown, which is not the same as no: where there is no answer at all the error is [ErrUnknown];
// a set of features says so itself (Known), and a number is then [Unknown].
package netdev
