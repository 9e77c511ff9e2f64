// Package load makes connections and requests to servers, on the shards of a stack, and measures what becomes of them.
//
//	st, err := stack.Open(stack.Config{Interface: "eth0", Address: netip.MustParsePrefix("192.0.2.10/24")})
//	run, err := load.Start(st, load.Config{
//		Targets: []load.Target{{Addr: netip.MustParseAddrPort("192.0.2.20:80")}},
//		Phases:  []load.Phase{{From: 10_000, To: 10_000, For: time.Minute}},
//	})
//	err = run.Wait(ctx)
//	s := run.Snapshot()
//
// # Open and closed loops
//
// In a closed loop each connection makes its next request when it has the response to the last. A server that stops for a second is not
// asked during that second, so the second counts as one slow request, and all those that would have come meanwhile are missing from the
// percentiles. That is what most load generators do, and what their latencies hide (coordinated omission).
//
// In an open loop ([Config.Phases]) requests arrive at times that do not depend on the server, as those of independent users do. One that
// is due while all connections are busy waits for one, and its latency counts from when it was due. What cannot start at all is a failed
// request with a reason.
//
// # What runs where
//
//	Config.OnTurn of the stack, once a turn          Handler, as segments come
//	──────────────────────────────────────           ─────────────────────────
//	time-outs ─► arrivals that are due ─► a free     response ─► counts and histograms ─► the next
//	connection, a new one, or the queue              request, or an arrival from the queue
//
// Each shard has a worker of its own, with its own connections, part of the schedule, counts and histograms; nothing is shared and nothing
// allocated per request. [Run.Snapshot] has each shard hand over what it has recorded between two turns.
package load
