package stack

import (
	"time"

	"github.com/xdpstack/xdpstack/frame"
)

// Device is one queue pair of a network interface: what a shard needs of the world below it. The AF_XDP drivers and the simulator
// satisfy it. All methods but Wake belong to the shard's goroutine.
//
// A packet that does not fit a frame lies in several, whose descriptors follow each other (frame.Desc.More), up to frame.MaxFrames of
// them. Only a device whose MTU is larger than a frame holds is given such packets, or gives them.
//
// Ownership: a frame from Receive belongs to the caller. Transmit does not take the caller's ownership away; the pool keeps the
// frame out of the free list until the device has completed it as well.
type Device interface {
	// Pool returns the memory that the device receives into and sends from.
	Pool() *frame.Pool
	// HardwareAddr returns the Ethernet address.
	HardwareAddr() [6]byte
	// MTU returns the largest IP packet in bytes.
	MTU() int
	// ChecksumOffload tells which checksum work the device does: rx, it has verified those of IP, TCP and UDP; tx, it completes the sent
	// packets' checksum that a descriptor names (frame.AskSum).
	ChecksumOffload() (rx, tx bool)
	// Receive fills batch with received packets, whole ones, and returns the number of their frames.
	Receive(batch []frame.Desc) int
	// Room returns how many frames Transmit would take now.
	Room() int
	// Transmit queues packets in order, whole ones, and returns how many frames it took, fewer than all if the ring is full.
	Transmit(batch []frame.Desc) int
	// Flush publishes what Transmit queued and wakes the device if it asks for that.
	Flush() error
	// Recycle takes completed frames back, gives the device free ones to receive into, and returns the number completed.
	Recycle() int
	// Wait sleeps until a packet may have come, Wake was called, or the timeout (negative: none) passed.
	Wait(timeout time.Duration) error
	// Wake ends a Wait. Any goroutine may call it.
	Wake()
	// Close gives the device back. Its pool must not be used afterwards.
	Close() error
}

// waker is what ends a shard's sleep.
type waker interface{ Wake() }
