package impair

import "time"

// Config says what happens to packets in one direction. The zero Config is a perfect path without delay. Probabilities are from 0
// to 1.
type Config struct {
	Delay     time.Duration // one way
	Jitter    time.Duration // up to this is added to the delay, evenly distributed; it does not change the order
	Loss      float64       // probability that a packet is lost, independent of others
	Burst     Burst         // losses that come together
	Reorder   float64       // probability that a packet is held back, so that later ones overtake it
	ReorderBy time.Duration // for how long; default 1 ms and a quarter of Delay
	Duplicate float64       // probability that a packet arrives twice
	Corrupt   float64       // probability that one bit behind the Ethernet header of an IP packet is inverted (ARP has no checksum)
	Rate      int64         // bits per second of the Ethernet frames; 0: no limit
	QueueLen  int           // packets that may wait for their turn at Rate; default 1000
	MarkAt    int           // from so many in the queue on, IPv4 packets with ECT get CE (RFC 3168, with DCTCP's step); 0: never
}

// Burst is Gilbert's model of a path with good and bad times, where everything is lost in bad ones.
type Burst struct {
	Enter float64 // probability, at each packet, that a bad time begins
	Leave float64 // probability, at each packet, that it ends
}

// Stats counts what became of the packets that entered.
type Stats struct {
	Packets    uint64 `help:"packets that entered"`
	Lost       uint64 `help:"packets lost at random"`
	BurstLost  uint64 `help:"packets lost in bad times"`
	QueueFull  uint64 `help:"packets dropped: the queue of the rate limit was full"`
	Queued     uint64 `help:"packets that were in the queue when another entered, added up: divided by Packets, the mean length"`
	Marked     uint64 `help:"packets that got CE because of the queue"`
	Reordered  uint64 `help:"packets held back"`
	Duplicated uint64 `help:"packets that arrived twice"`
	Corrupted  uint64 `help:"packets of which a bit was inverted"`
}
