// Package iperf3 speaks the protocol of iperf3 over the stack, so that the ordinary iperf3 of another machine is the peer of a bulk
// test: as its server ([Serve]) or as its client ([Run]), over TCP.
//
// # The protocol
//
// One connection is for control, the others carry data. All of them go to the same port and begin with the same cookie of 37 bytes,
// which is how the server knows whose they are. On the control connection the server sends states, one byte each, and the client does
// what they ask for:
//
//	client                                    server
//	  cookie                      ────────►
//	                              ◄────────   PARAM_EXCHANGE, or ACCESS_DENIED: it is busy
//	  parameters (JSON)           ────────►
//	                              ◄────────   CREATE_STREAMS, or SERVER_ERROR and two numbers
//	  each stream: cookie         ════════►
//	                              ◄────────   TEST_START, TEST_RUNNING
//	  data                        ◄═══════►   data
//	  TEST_END                    ────────►
//	                              ◄────────   EXCHANGE_RESULTS
//	  results (JSON)              ────────►
//	                              ◄────────   results (JSON), DISPLAY_RESULTS
//	  IPERF_DONE                  ────────►
//
// JSON has its length in front, four bytes, big-endian. Numbers in it are those of a C program: a count of 64 bits may come as a
// floating-point number, and one that is unknown as 2^64-1 ([Number]).
//
// # How it is built
//
// A data stream is a [stack.Handler] on the shard of its connection: what it receives is counted in the memory that it came in, what it
// sends is written as room comes. Nothing is shared between shards but the bytes that a test with -n or -k has left. The goroutine that
// runs a test asks the shards for their counts when an interval is over (stack.Shard.Do), and writes the report: a [Document] is both
// what is printed as text and iperf3's JSON.
//
// Everything that a peer sends is bounded: sizes of JSON, the number of streams, connections without a cookie, the time that each state
// may take. A peer that goes away ends its test with an error that says so, and the server takes the next one.
package iperf3
