package stack

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/afxdp"
	"github.com/xdpstack/xdpstack/internal/irq"
	"github.com/xdpstack/xdpstack/internal/netdev"
)

// placeShards gives each shard a CPU near the one that its queue's interrupt goes to, unless the configuration names CPUs. Where no
// interrupt is known, on veth for one, or CPUs are few, shards run on any: see irq.System.Place.
func (s *Stack) placeShards(iface *afxdp.Interface) {
	if len(s.cfg.CPUs) > 0 {
		return
	}
	var set unix.CPUSet
	if unix.SchedGetaffinity(0, &set) != nil {
		return
	}
	var usable []int
	for cpu := range 64 * len(set) {
		if set.IsSet(cpu) {
			usable = append(usable, cpu)
		}
	}
	for i, cpu := range (irq.System{}).Place(interruptCPUs(iface), usable) {
		s.shards[i].cpu = cpu
	}
}

// interruptCPUs returns the CPU that the interrupt of each open queue goes to, -1 where that is not known.
func interruptCPUs(iface *afxdp.Interface) []int {
	var system irq.System
	info := iface.Info()
	named, _ := system.Interrupts(info.Name)
	pairs, _ := netdev.Pairs(info.Index) // the names of interrupts tell too
	var cpus []int
	for _, q := range iface.Queues() {
		cpu, number := -1, -1
		if q.Index() < len(pairs) {
			number = pairs[q.Index()].Receive.IRQ
		}
		if i, ok := irq.ForQueue(named, q.Index()); ok && number < 0 {
			number = i.Number
		}
		if number >= 0 {
			if _, effective, err := system.Affinity(number); err == nil && len(effective) > 0 {
				cpu = effective[0]
			}
		}
		cpus = append(cpus, cpu)
	}
	return cpus
}

// CPUs returns the CPU that each shard is bound to, -1 for one that may run on any.
func (s *Stack) CPUs() []int {
	var cpus []int
	for _, sh := range s.shards {
		cpus = append(cpus, sh.cpu)
	}
	return cpus
}

// checkAffinity returns the error of a shard that could not be bound to its CPU.
func (s *Stack) checkAffinity() error {
	for i, sh := range s.shards {
		var err error
		sh.call(func(sh *Shard) { err = sh.affinityErr })
		if err != nil {
			return fmt.Errorf("stack: bind shard %d to CPU %d: %w: Config.CPUs names one that this process may not use",
				i, sh.cpu, err)
		}
	}
	return nil
}

// setAffinity binds the calling thread to a CPU. A number beyond what the kernel knows is refused by it.
func setAffinity(cpu int) error {
	var set unix.CPUSet
	set.Set(cpu)
	return unix.SchedSetaffinity(0, &set)
}
