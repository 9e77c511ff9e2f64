package bpf

import (
	"fmt"

	"github.com/cilium/ebpf"
)

// Action is what the program says is to become of a frame (enum xdp_action).
type Action uint32

// The actions that the program uses.
const (
	ActionDrop     Action = 1
	ActionPass     Action = 2
	ActionTX       Action = 3 // back to where it came from
	ActionRedirect Action = 4
)

func (a Action) String() string {
	switch a {
	case ActionDrop:
		return "drop"
	case ActionTX:
		return "send back"
	case ActionPass:
		return "pass"
	case ActionRedirect:
		return "redirect"
	}
	return fmt.Sprintf("Action(%d)", uint32(a))
}

// testContext is the part of the kernel's struct xdp_md that a test run takes: metadata and frame as offsets into the data.
type testContext struct {
	Data, DataEnd, DataMeta, IngressIfindex, RxQueueIndex, EgressIfindex uint32
}

// Test runs the program in the kernel on a frame of at least 14 bytes as if it had come in on a queue, counts it, and returns the
// program's answer and the frame as it left it, with what it noted in front. Queues other than 0 need an attached program, whose
// interface has that queue.
func (p *Program) Test(frame []byte, queue int) (Action, []byte, error) {
	out := make([]byte, len(frame)+256) // the kernel copies the result, and fails if it has grown beyond this
	opts := ebpf.RunOptions{Data: frame, DataOut: out}
	if queue != 0 {
		opts.Context = testContext{DataEnd: uint32(len(frame)), IngressIfindex: uint32(p.ifindex), RxQueueIndex: uint32(queue)}
	}
	action, err := p.objects.XdpSteer.Run(&opts)
	if err != nil {
		return 0, nil, fmt.Errorf("bpf: test run with %d bytes on queue %d: %w", len(frame), queue, err)
	}
	return Action(action), opts.DataOut, nil
}
