// Package rawlink measures what AF_XDP alone does on a link: one end sends full frames as fast as it can, the other receives and
// drops them. No stack can be faster than that.
package rawlink

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/xdpstack/xdpstack/afxdp"
	"github.com/xdpstack/xdpstack/bpf"
	"github.com/xdpstack/xdpstack/frame"
)

// FrameSize is that of a full Ethernet frame without its checksum, in bytes.
const FrameSize = 1514

// batch is how many frames are handled at a time.
const batch = 64

// Result is what the receiver counted.
type Result struct {
	Frames  uint64  `json:"frames"`
	Seconds float64 `json:"seconds"`
	Mode    string  `json:"mode"`
}

func open(driver, ifname string) (*afxdp.Interface, afxdp.Queue, error) {
	i, err := afxdp.Open(ifname, afxdp.Options{Driver: driver, Mode: afxdp.ModeCopy}, bpf.Config{Mode: bpf.OwnAddress})
	if err != nil {
		return nil, nil, err
	}
	return i, i.Queues()[0], nil
}

// Receive counts frames to addr for a window that begins warmup after the first of them. It calls mark when it is ready, and at
// the window's start and end.
func Receive(
	ctx context.Context, driver, ifname string, addr netip.Addr, warmup, window time.Duration, mark func(string),
) (res Result, err error) {
	i, q, err := open(driver, ifname)
	if err != nil {
		return res, err
	}
	defer func() { err = errors.Join(err, i.Close()) }()
	if err := i.Program().AddAddress(addr); err != nil {
		return Result{}, err
	}
	mark("ready")
	r := &receiver{queue: q}
	if err := r.until(ctx, func(time.Time) bool { return r.frames > 0 }); err != nil {
		return Result{}, err
	}
	warm := time.Now().Add(warmup)
	if err := r.until(ctx, func(now time.Time) bool { return now.After(warm) }); err != nil {
		return Result{}, err
	}
	r.frames = 0
	start := time.Now()
	mark("start")
	err = r.until(ctx, func(now time.Time) bool { return now.Sub(start) >= window })
	res = Result{Frames: r.frames, Seconds: time.Since(start).Seconds(), Mode: i.Describe()}
	mark("stop")
	return res, err
}

type receiver struct {
	queue  afxdp.Queue
	frames uint64
	descs  [batch]frame.Desc
}

// until receives until the condition holds.
func (r *receiver) until(ctx context.Context, over func(now time.Time) bool) error {
	pool := r.queue.Pool()
	for !over(time.Now()) {
		if err := ctx.Err(); err != nil {
			return err
		}
		n := r.queue.Receive(r.descs[:])
		for _, d := range r.descs[:n] {
			if d.Len == FrameSize {
				r.frames++
			}
			pool.Release(d.Frame)
		}
		r.queue.Recycle()
		if n > 0 {
			continue
		}
		if err := r.queue.Wait(10 * time.Millisecond); err != nil {
			return fmt.Errorf("rawlink: wait: %w", err)
		}
	}
	return nil
}

// Send sends frames from one end to the other until the context ends.
func Send(ctx context.Context, driver, ifname string, to [6]byte, src, dst netip.Addr, mark func(string)) (err error) {
	i, q, err := open(driver, ifname)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, i.Close()) }()
	frames, err := prepare(q, to, src, dst)
	if err != nil {
		return err
	}
	mark("ready")
	pool, next := q.Pool(), 0
	for out := make([]frame.Desc, 0, batch); ctx.Err() == nil; out = out[:0] {
		// The frames are always the same and always ours; each can go again as soon as the kernel has completed it.
		for len(out) < batch && !pool.InTransmission(frames[next].Frame) {
			out = append(out, frames[next])
			next = (next + 1) % len(frames)
		}
		taken := q.Transmit(out)
		next = (next + len(frames) - (len(out) - taken)) % len(frames)
		if err := q.Flush(); err != nil {
			return fmt.Errorf("rawlink: send: %w", err)
		}
		q.Recycle()
	}
	return nil
}

// prepare writes frames to the discard port.
func prepare(q afxdp.Queue, to [6]byte, src, dst netip.Addr) ([]frame.Desc, error) {
	pool, from := q.Pool(), q.HardwareAddr()
	frames := make([]frame.Desc, 1024)
	for n := range frames {
		f := pool.Alloc()
		if f == frame.None {
			return nil, fmt.Errorf("rawlink: no frame is free")
		}
		b := pool.Chunk(f)[:FrameSize]
		clear(b)
		copy(b[0:], to[:])
		copy(b[6:], from[:])
		b[12] = 8 // IPv4
		ip := b[14:]
		ip[0], ip[8], ip[9] = 0x45, 64, 17
		binary.BigEndian.PutUint16(ip[2:], FrameSize-14)
		copy(ip[12:], src.AsSlice())
		copy(ip[16:], dst.AsSlice())
		binary.BigEndian.PutUint16(ip[10:], checksum(ip[:20]))
		udp := ip[20:] // no checksum: nobody looks at it
		binary.BigEndian.PutUint16(udp[0:], 9)
		binary.BigEndian.PutUint16(udp[2:], 9)
		binary.BigEndian.PutUint16(udp[4:], FrameSize-34)
		frames[n] = frame.Desc{Frame: f, Len: FrameSize}
	}
	return frames, nil
}

func checksum(b []byte) uint16 {
	var s uint32
	for i := 0; i < len(b); i += 2 {
		s += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for s > 0xffff {
		s = s>>16 + s&0xffff
	}
	return ^uint16(s)
}
