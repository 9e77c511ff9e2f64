package stack

import (
	"unsafe"

	"github.com/xdpstack/xdpstack/internal/wheel"
)

// MemoryUse is what the connections of a shard take, in bytes.
type MemoryUse struct {
	Connections int
	State       uint64 // what the garbage collector does not see of them
	Heap        uint64 // and what it scans
	Table       uint64 // in which they are looked up
	Timers      uint64
	Rare        uint64 // of those that have seen losses or reordering, or use BBR
}

// Memory returns what the shard's connections take at present. It must be called on the shard, or while nothing drives it.
func (s *Shard) Memory() MemoryUse {
	n := uint64(s.conns.n)
	return MemoryUse{
		Connections: s.conns.n,
		State:       n * uint64(unsafe.Sizeof(state{})),
		Heap:        n * uint64(unsafe.Sizeof(Conn{})),
		Table:       uint64(len(s.flows.entries)+len(s.flows.old.entries)) * uint64(unsafe.Sizeof(flowEntry{})),
		Timers:      n * wheel.NodeSize,
		Rare:        s.core.RareBytes(),
	}
}
