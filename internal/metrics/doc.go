// Package metrics turns structs of counters into named metrics.
//
// A part of the stack counts in plain uint64 fields of a struct that only its shard writes:
//
//	type Stats struct {
//		RxPackets  uint64 `help:"packets received"`
//		BadHeader  uint64 `help:"packets dropped: the IP header is malformed"`
//		FramesFree uint64 `help:"frames that are free" kind:"gauge"`
//		Reasm      ReassemblyStats
//		PerQueue   [4]QueueStats
//	}
//
// [Walk] finds them by reflection. Names are the fields' in snake case, with the names of the structs around them before:
// rx_packets, bad_header, reasm_timeouts, per_queue_0_kicks. A field of an embedded struct has no such prefix. Exported fields of
// type uint64 are metrics, and structs, pointers to structs, arrays and slices are entered; other fields are passed over. A [Histogram]
// counts durations.
//
// [Add] sums two structs (the shards of a stack), [Sub] gives what happened between two snapshots. A [Registry] collects the
// structs of a process. Taking a snapshot that does not race with the shard is the business of whoever owns the struct.
package metrics
