package main

import (
	"fmt"
	"slices"

	"github.com/xdpstack/xdpstack/bench/internal/result"
	"github.com/xdpstack/xdpstack/bench/internal/veth"
)

// jumboGroups are bulk data in packets of several buffers, beside the kernel with all that it has for large packets.
func jumboGroups() []*group {
	var groups []*group
	for _, mtu := range []int{9000, 65535} {
		names := []string{fmt.Sprintf("bulk-receive-%d", mtu), fmt.Sprintf("bulk-send-%d", mtu)}
		kernel := []result.Target{{Against: "kernel", Aim: 1}}
		groups = append(groups, serving{
			benchmarks: []benchmark{
				{
					name: names[0], row: "6b", title: fmt.Sprintf("bulk, client → server, MTU %d", mtu), unit: "Gbit/s",
					targets: kernel,
				},
				{
					name: names[1], row: "6b", title: fmt.Sprintf("bulk, server → client, MTU %d", mtu), unit: "Gbit/s",
					targets: slices.Clone(kernel),
				},
			},
			works: by(veth.OurClient, receiving, sending),
			servers: []veth.Server{veth.Ours, veth.Kernel.With("kernel, offloads", func(s *veth.Server) {
				s.Offloads, s.Client = true, veth.KernelClient
				s.Setup += ", segmentation and checksum offloads on, the kernel's client"
			})},
			mtu:     mtu,
			repeats: func(t *times) int { return (t.repeats + 1) / 2 },
			finish:  markClientBound(names...),
		}.group())
	}
	return groups
}
