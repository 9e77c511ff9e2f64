package snapshot

import (
	"github.com/xdpstack/xdpstack/internal/metrics"
	"github.com/xdpstack/xdpstack/stack"
)

// QueueFrames says where the packet memory of a queue is, in frames.
type QueueFrames struct {
	Free int `json:"free"` // for whoever wants one
	Fill int `json:"fill"` // with the kernel, to be received into, or received and not taken yet
	Tx   int `json:"tx"`   // with the kernel, to be sent, and of no connection any more
	Held int `json:"held"` // of connections, what is unacknowledged or unread
}

// QueueCounters are what one queue and its shard did.
type QueueCounters struct {
	Received      uint64 `json:"received" help:"packets received"`
	ReceivedBytes uint64 `json:"received_bytes" help:"bytes of received packets"`
	Batches       uint64 `json:"batches" help:"batches in which packets were received"`
	Sent          uint64 `json:"sent" help:"packets sent"`
	SentBytes     uint64 `json:"sent_bytes" help:"bytes of sent packets"`
	Kicks         uint64 `json:"kicks" help:"system calls that woke the kernel to transmit"`
	Turns         uint64 `json:"turns" help:"turns of the shard's loop"`
	Sleeps        uint64 `json:"sleeps" help:"times that the shard slept because there was nothing to do"`
	Lost          uint64 `json:"lost" help:"packets dropped by the kernel because the shard did not take them in time"`
	PassedOn      uint64 `json:"passed_on" help:"segments that belonged to another shard"`
	TakenOver     uint64 `json:"taken_over" help:"segments that another shard passed on"`
	Misdirected   uint64 `json:"misdirected" help:"of those passed on, the ones that the card's table sends to another queue"`
	CPUTime       uint64 `json:"cpu_ns" help:"nanoseconds of processor time of the shard's thread, if it has one of its own"`
}

// count takes the counters of the queue's shard.
func (q *Queue) count(r *stack.ShardReport) {
	s := &r.Stats
	q.QueueCounters = QueueCounters{
		Batches: s.Rx.Batches, Turns: s.Steps, Sleeps: s.Sleeps,
		PassedOn: s.PassedOn, TakenOver: s.TakenOver, Misdirected: s.Misdirected, CPUTime: uint64(r.CPU),
	}
	q.Connections, q.Pressed, q.Pressure = r.Connections, r.Pressed, r.Pressure
	q.Frames = QueueFrames{Free: r.Frames.Free, Fill: r.Frames.Fill, Tx: r.Frames.TX, Held: r.Frames.Held}
	if d := r.Device; d != nil {
		q.Received, q.ReceivedBytes = d.Queue.RxPackets, d.Queue.RxBytes
		q.Sent, q.SentBytes, q.Kicks = d.Queue.TxPackets, d.Queue.TxBytes, d.Queue.Kicks
		q.Lost = d.Socket.RxRingFull + d.Socket.FillRingEmpty
	}
}

// since takes away what an earlier snapshot of the queue counted already. If it counted more, it was another process's.
func (q *QueueCounters) since(earlier *QueueCounters) {
	if q.Turns >= earlier.Turns {
		*q = metrics.Sub(*q, *earlier)
	}
}
