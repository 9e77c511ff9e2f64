package stack

import (
	"encoding/binary"

	"github.com/xdpstack/xdpstack/ethernet"
	"github.com/xdpstack/xdpstack/frame"
	"github.com/xdpstack/xdpstack/internal/checksum"
)

// relayDevice is the device of a shard whose queue was given to another process: what it sends goes there. What is for it comes as records
// that the shard takes by itself. Memory and sleep are those of the queue that was.
type relayDevice struct {
	Device
	relay *relay
	stats *RelayStats
}

// Receive returns nothing.
func (d *relayDevice) Receive([]frame.Desc) int { return 0 }

// Room returns how many frames fit, of the largest packets.
func (d *relayDevice) Room() int {
	if d.relay.gone.Load() {
		return txQueue // for what is dropped
	}
	packet := relayHeader + ethernet.HeaderLen + d.MTU()
	return max(d.relay.room(), 0) / packet * (1 + d.MTU()/d.Pool().ChunkSize())
}

// Transmit copies the packets, whose frames are complete at once.
func (d *relayDevice) Transmit(batch []frame.Desc) int {
	for n := 0; n < len(batch); {
		packet, length := 1, batch[n].Len
		for batch[n+packet-1].More && n+packet < len(batch) {
			length += batch[n+packet].Len
			packet++
		}
		b := d.relay.append(relayFrame, 0, int(length))
		if b == nil {
			if !d.relay.gone.Load() {
				return n
			}
			d.stats.Dropped++
			n += packet
			continue
		}
		at := 0
		for _, f := range batch[n : n+packet] {
			at += copy(b[at:], d.Pool().Bytes(f))
		}
		completeSum(b, batch[n].Ask)
		d.stats.ToNew++
		n += packet
	}
	return len(batch)
}

// completeSum does what the descriptor leaves to the device.
func completeSum(b []byte, ask frame.Ask) {
	start, field := ask.Sum()
	if start == 0 || uint64(start)+uint64(field)+2 > uint64(len(b)) {
		return
	}
	sum := checksum.Finish(checksum.Sum(b[start:], 0))
	if sum == 0 {
		sum = 0xffff // UDP's "no checksum" (RFC 768); the same number otherwise
	}
	binary.BigEndian.PutUint16(b[start+field:], sum)
}

// Flush sends what the socket takes.
func (d *relayDevice) Flush() error {
	d.relay.flush()
	return nil
}

// Recycle has nothing to take back.
func (d *relayDevice) Recycle() int { return 0 }
