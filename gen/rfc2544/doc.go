// Package rfc2544 does the benchmarks of RFC 2544 section 26, with the updates of RFC 9004 and the search of RFC 9971, on whatever
// sends and receives frames:
//
//	           Config: tests, sizes, times                         Device: the network under test and the ports on both its sides
//	                 │                                                  ▲
//	                 ▼           Trial: size, rate, how long            │
//	Run ─── for each size ─── throughput ──────────────────────────────►│
//	                      ├── latency, at the throughput ──────────────►│
//	                      ├── frame loss, from 100 % down ─────────────►│
//	                      └── back-to-back, the longest burst ─────────►│
//	                                ▲                                   │
//	                 Report         └──── Outcome: sent, received ──────┘
//
// A [Trial] is one of RFC 2544 section 23: frames of a size at a constant rate, a wait for those that are still on their way, and a
// pause for the device to come to rest. [Standard] has the RFC's times, by which a size takes hours; [Quick] has shorter ones, and the
// report then says in what it deviates ([Config.Deviations]).
//
// A sender in software may not reach a rate. What it did not send is no loss of the device; what it did send is all that the device is
// known to bear, so that, and not the rate that was wanted, is reported, and that the limit is the sender's ([Rate.Note]).
//
// Run reads no clock and sends nothing: a device says how long its trials took.
package rfc2544
