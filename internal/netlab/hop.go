package netlab

import "github.com/vishvananda/netns"

// Hop is the namespace between the two sides. Both of its ends are in it, so a forwarder that runs in it sees what each side sends.
type Hop struct {
	Stack  *Side // the end that is joined to the stack's side
	Kernel *Side // the end that is joined to the kernel's side
}

func newHop(namespace string) *Hop {
	return &Hop{
		Stack:  &Side{Namespace: namespace, Interface: hopStackInterface, ns: netns.None()},
		Kernel: &Side{Namespace: namespace, Interface: hopKernelInterface, ns: netns.None()},
	}
}

// Do runs f inside the namespace, as [Side.Do] does.
func (h *Hop) Do(f func() error) error { return h.Stack.Do(f) }

// configure finishes both ends. They have no address: the kernel takes no part in what passes.
func (h *Hop) configure(cfg *Config) error {
	if err := h.Stack.configure(cfg, false); err != nil {
		return err
	}
	return h.Kernel.configure(cfg, false)
}
