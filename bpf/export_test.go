package bpf

import "github.com/cilium/ebpf"

// Steer returns the program itself.
func (p *Program) Steer() *ebpf.Program { return p.objects.XdpSteer }
