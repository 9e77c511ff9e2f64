package rawlink

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/ethernet"
	"github.com/xdpstack/xdpstack/gen"
)

// DriverPacket is the driver of an end that generates through the ring of a packet socket: what there is without AF_XDP. The program in C
// does the same; this one is for machines without a compiler.
const DriverPacket = "packet"

const (
	packetFrames = 1024
	packetFrame  = 2048 // bytes
	packetData   = 32   // where a packet begins in its frame: TPACKET2_HDRLEN less the address, which is not used (packet_mmap.rst)
)

// packetRing is a packet socket with its ring (TPACKET_V2).
type packetRing struct {
	fd     int
	memory []byte
	next   int
}

func openPacket(name string) (*packetRing, error) {
	iface, err := net.InterfaceByName(name)
	if err != nil {
		return nil, err
	}
	r := &packetRing{}
	if r.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0); err != nil {
		return nil, fmt.Errorf("rawlink: packet socket: %w", err)
	}
	ring := &unix.TpacketReq{Block_size: packetFrames * packetFrame, Block_nr: 1, Frame_size: packetFrame, Frame_nr: packetFrames}
	err = errors.Join(
		unix.SetsockoptInt(r.fd, unix.SOL_PACKET, unix.PACKET_VERSION, unix.TPACKET_V2),
		unix.SetsockoptInt(r.fd, unix.SOL_PACKET, unix.PACKET_QDISC_BYPASS, 1),
		unix.SetsockoptInt(r.fd, unix.SOL_PACKET, unix.PACKET_LOSS, 1),
		unix.SetsockoptTpacketReq(r.fd, unix.SOL_PACKET, unix.PACKET_TX_RING, ring),
		unix.Bind(r.fd, &unix.SockaddrLinklayer{Ifindex: iface.Index}))
	if err == nil {
		r.memory, err = unix.Mmap(r.fd, 0, packetFrames*packetFrame, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("rawlink: packet socket: %w", err), unix.Close(r.fd))
	}
	return r, nil
}

func (r *packetRing) close() error { return errors.Join(unix.Munmap(r.memory), unix.Close(r.fd)) }

// frame returns the i-th frame, and its status.
func (r *packetRing) frame(i int) (b []byte, status *uint32) {
	b = r.memory[i*packetFrame : (i+1)*packetFrame]
	return b, (*uint32)(unsafe.Pointer(&b[0]))
}

// waiting tells whether the kernel has not even begun to send what was filled last: the link takes no more at present.
func (r *packetRing) waiting() bool {
	_, status := r.frame((r.next + packetFrames - 1) % packetFrames)
	return atomic.LoadUint32(status)&unix.TP_STATUS_SEND_REQUEST != 0
}

// send fills as many frames as there are free, up to a batch, and has them sent. It returns how many.
func (r *packetRing) send(p *gen.Program) (int, error) {
	n := 0
	for ; n < batch; n++ {
		b, status := r.frame(r.next)
		if atomic.LoadUint32(status)&(unix.TP_STATUS_SEND_REQUEST|unix.TP_STATUS_SENDING) != 0 {
			break
		}
		*(*uint32)(unsafe.Pointer(&b[4])) = uint32(p.Next(b[packetData:], 0)) // the length
		atomic.StoreUint32(status, unix.TP_STATUS_SEND_REQUEST)
		r.next = (r.next + 1) % packetFrames
	}
	return n, r.kick()
}

// kick has the kernel send what is filled.
func (r *packetRing) kick() error {
	_, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(r.fd), 0, 0, unix.MSG_DONTWAIT, 0, 0)
	if errno != 0 && errno != unix.EAGAIN && errno != unix.ENOBUFS && errno != unix.EINTR && errno != unix.ENETDOWN {
		return fmt.Errorf("rawlink: send through a packet socket: %w", errno)
	}
	return nil
}

// generatePacket sends what generate does, as fast as it goes, through a packet socket.
func generatePacket(ctx context.Context, cfg *Config, mark func(string)) (res Result, err error) {
	iface, err := net.InterfaceByName(cfg.Interface)
	if err != nil {
		return res, err
	}
	program, err := cfg.program(ethernet.Addr(iface.HardwareAddr))
	if err != nil {
		return res, err
	}
	r, err := openPacket(cfg.Interface)
	if err != nil {
		return res, err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	mark("ready")
	frames := 0
	turn := func() error {
		n, err := r.send(program)
		frames += n
		return err
	}
	if err := until(ctx, turn, func(time.Time) bool { return frames > 0 }); err != nil {
		return res, err
	}
	warm := time.Now().Add(cfg.Warmup)
	if err := until(ctx, turn, func(now time.Time) bool { return now.After(warm) }); err != nil {
		return res, err
	}
	before, begin := frames, time.Now()
	mark("start")
	err = until(ctx, turn, func(now time.Time) bool { return now.Sub(begin) >= cfg.Window })
	res = Result{Frames: uint64(frames - before), Seconds: time.Since(begin).Seconds(), Mode: "AF_PACKET, TX ring, no queueing discipline"}
	mark("stop")
	return res, err
}
