// Package link has the [rfc2544.Device] on AF_XDP: a port that sends frames into the network under test, and one that receives what
// comes out of it, or the same port where something beyond sends the frames back:
//
//	┌───────────┐ Send            ┌──────────────┐            Receive ┌───────────┐
//	│ engine ───┼────────────────►│ under test   ├───────────────────►│ measure   │
//	└───────────┘                 └──────────────┘                    └───────────┘
//	┌───────────┐ Send = Receive  ┌──────────────┐                    ┌───────────┐
//	│ engine ───┼────────────────►│ under test   ├───────────────────►│ reflector │
//	│ measure ◄─┼─────────────────┤              │◄───────────────────┤           │
//	└───────────┘                 └──────────────┘                    └───────────┘
//
// Every frame carries the time at which it was written and its number. What comes with a time from before the trial is of an earlier
// one, and does not count. Latency is from the writing of a frame to when the XDP program noted it, if the queues were opened with
// [afxdp.Options].RxHints, else to when the batch with it was taken: it contains what the kernel and this process add, some microseconds,
// and while they are busy more.
//
// Before each trial the receiving port announces its address by ARP, so that switches know where it is, and answers questions for it:
// the learning frames of RFC 2544 section 23.
package link
