package measure

// Counts says what became of received packets. Each is counted once among those that add up to Packets.
type Counts struct {
	Packets uint64 `json:"packets" help:"packets that came"`
	Bytes   uint64 `json:"bytes" help:"their bytes, from the Ethernet header on"`

	Received       uint64 `json:"received" help:"packets with a signature, first copies"`
	Duplicates     uint64 `json:"duplicates" help:"packets with a signature that had come before"`
	Late           uint64 `json:"late" help:"packets behind the window: counted as lost before, and perhaps not their first copies"`
	Implausible    uint64 `json:"implausible" help:"packets whose sequence number fits nothing before and nothing after them"`
	NoSignature    uint64 `json:"no_signature" help:"packets without a signature"`
	BadChecksum    uint64 `json:"bad_checksum" help:"packets with a wrong checksum of IPv4, UDP, TCP or ICMP, or with impossible lengths"`
	Foreign        uint64 `json:"foreign" help:"packets of streams that are not the sender's"`
	TooManyStreams uint64 `json:"too_many_streams" help:"packets of streams beyond the bound on their number"`

	Reordered uint64 `json:"reordered" help:"of those received, packets that came after one with a higher number"`
	Restarts  uint64 `json:"restarts" help:"times that a sender began anew"`
	Jumps     uint64 `json:"jumps" help:"times that the numbers went on far ahead; what is between is lost"`
	TimeJumps uint64 `json:"time_jumps" help:"times that the times of neighbouring packets were a minute and more apart, or went back"`
	Untimed   uint64 `json:"untimed" help:"of those received, packets without a time, or with one that gives no latency: see the next two"`
	Negative  uint64 `json:"negative" help:"of those, packets that came before they were sent: the clocks differ"`
	TooLong   uint64 `json:"too_long" help:"of those, packets that were under way for more than a minute, it seems: the clocks differ"`
}
