package sim

import (
	"fmt"
	"math/bits"
	"time"

	"github.com/xdpstack/xdpstack/frame"
)

// Config describes a device. Zero fields mean the defaults.
type Config struct {
	Name         string  // for errors; default its hardware address
	HardwareAddr [6]byte // default a locally administered one, different for each device of a Network or Pipe
	MTU          int     // largest IP packet in bytes, which may lie in several frames; default 1500
	Frames       int     // frames in the pool; default 4096
	FrameSize    int     // bytes, a power of two; default 2048
	Headroom     int     // bytes before a received packet; default 256 as the kernel has it
	FillRing     int     // frames that the device may have to receive into, a power of two; default half of the pool
	RxRing       int     // a power of two; default FillRing
	TxRing       int     // frames that were sent and not recycled; default 2048

	// Memory is what the pool is made of, at least Frames times FrameSize bytes: of another device, which is not used any more.
	// By default it is allocated, which takes longer than a short exchange.
	Memory []byte

	// CompletionDelay is how long a sent frame stays with the device, in a Network. By default it is completed at once.
	CompletionDelay time.Duration
	// CompletionSpread is by how much longer it stays at most, as the dice fall: frames are completed in any order.
	CompletionSpread time.Duration
	// CompletionPeriod has the device complete frames only at multiples of it, all that are due by then: in bulk, and late.
	CompletionPeriod time.Duration
	// CompleteSums makes the device complete the checksums that descriptors leave to it, as a network card does, and say so.
	CompleteSums bool
	// Offload is CompleteSums, and makes the device say that it verifies the checksums of what it receives. It does not: on a link that
	// does not corrupt there is nothing to find.
	Offload bool
}

const (
	ethernetHeader = 14
	maxVLANTags    = 8 // bytes
)

func (c *Config) setDefaults() {
	setDefault(&c.MTU, 1500)
	setDefault(&c.Frames, 4096)
	setDefault(&c.FrameSize, 2048)
	setDefault(&c.Headroom, 256)
	setDefault(&c.FillRing, powerBelow(c.Frames/2))
	setDefault(&c.RxRing, c.FillRing)
	setDefault(&c.TxRing, 2048)
	if c.Name == "" {
		c.Name = fmt.Sprintf("%x", c.HardwareAddr)
	}
}

func setDefault(v *int, def int) {
	if *v == 0 {
		*v = def
	}
}

// powerBelow returns the largest power of two up to n, at least 1.
func powerBelow(n int) int { return 1 << (bits.Len(uint(max(n, 1))) - 1) }

func (c *Config) check() error {
	if c.MTU < 68 {
		return fmt.Errorf("sim: device %s: MTU %d is below IPv4's minimum of 68", c.Name, c.MTU)
	}
	if c.Headroom < 0 || c.Headroom >= c.FrameSize || c.maxPacket() > frame.MaxFrames*(c.FrameSize-c.Headroom) {
		return fmt.Errorf("sim: device %s: a packet of MTU %d does not fit into %d frames of %d bytes, behind %d bytes of headroom",
			c.Name, c.MTU, frame.MaxFrames, c.FrameSize, c.Headroom)
	}
	if c.FillRing >= c.Frames {
		return fmt.Errorf("sim: device %s: a fill ring of %d takes all of %d frames, none is left to send with",
			c.Name, c.FillRing, c.Frames)
	}
	if c.TxRing < 1 {
		return fmt.Errorf("sim: device %s: TX ring of %d", c.Name, c.TxRing)
	}
	if min(c.CompletionDelay, c.CompletionSpread, c.CompletionPeriod) < 0 {
		return fmt.Errorf("sim: device %s: completion before the transmission", c.Name)
	}
	return nil
}

// lateCompletion reports whether frames stay with the device after Flush.
func (c *Config) lateCompletion() bool {
	return c.CompletionDelay|c.CompletionSpread|c.CompletionPeriod != 0
}

// maxPacket returns the longest packet that the device sends or receives, in bytes with the Ethernet header.
func (c *Config) maxPacket() int { return c.MTU + ethernetHeader + maxVLANTags }

func (c *Config) newPool() (*frame.Pool, error) {
	size := max(c.Frames, 0) * max(c.FrameSize, 0)
	mem := c.Memory
	if mem == nil {
		mem = make([]byte, size)
	}
	if len(mem) < size {
		return nil, fmt.Errorf("sim: device %s: %d bytes of memory for %d frames of %d bytes", c.Name, len(mem), c.Frames, c.FrameSize)
	}
	pool, err := frame.NewPool(mem[:size], c.FrameSize)
	if err != nil {
		return nil, fmt.Errorf("sim: device %s: %w", c.Name, err)
	}
	return pool, nil
}
