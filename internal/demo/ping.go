package demo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/net/icmp"
	xipv4 "golang.org/x/net/ipv4"

	"github.com/xdpstack/xdpstack/ethernet"
	"github.com/xdpstack/xdpstack/frame"
	"github.com/xdpstack/xdpstack/internal/netlab"
	"github.com/xdpstack/xdpstack/ipv4"
	"github.com/xdpstack/xdpstack/stack"
)

const (
	pingTimeout = time.Second
	pingID      = 0x7873
	pingSize    = 56 // bytes of payload, as ping sends
	protoICMP   = 1
)

func echoRequest(seq int) ([]byte, error) {
	body := &icmp.Echo{ID: pingID, Seq: seq, Data: make([]byte, pingSize)}
	return (&icmp.Message{Type: xipv4.ICMPTypeEcho, Body: body}).Marshal(nil)
}

// isReply reports whether an ICMP message answers the request of that number, payload included.
func isReply(b []byte, seq int) bool {
	m, err := icmp.ParseMessage(protoICMP, b)
	if err != nil || m.Type != xipv4.ICMPTypeEchoReply {
		return false
	}
	echo, ok := m.Body.(*icmp.Echo)
	return ok && echo.ID == pingID && echo.Seq == seq && len(echo.Data) == pingSize
}

// pingFromKernel sends from a raw socket of the kernel's.
func pingFromKernel(ctx context.Context, side *netlab.Side, to netip.Addr, n int, each func(time.Duration)) error {
	var conn *icmp.PacketConn
	err := side.Do(func() (err error) {
		conn, err = icmp.ListenPacket("ip4:icmp", "0.0.0.0")
		return err
	})
	if err != nil {
		return fmt.Errorf("raw ICMP socket: %w", err)
	}
	defer conn.Close()
	buf := make([]byte, 2048)
	for seq := 1; seq <= n && ctx.Err() == nil; seq++ {
		b, err := echoRequest(seq)
		if err != nil {
			return err
		}
		sent := time.Now()
		if _, err := conn.WriteTo(b, &net.IPAddr{IP: to.AsSlice()}); err != nil {
			return fmt.Errorf("send an echo request: %w", err)
		}
		if err := conn.SetReadDeadline(sent.Add(pingTimeout)); err != nil {
			return err
		}
		for {
			got, _, err := conn.ReadFrom(buf)
			if errors.Is(err, os.ErrDeadlineExceeded) {
				each(0)
				break
			}
			if err != nil {
				return fmt.Errorf("receive an echo reply: %w", err)
			}
			if isReply(buf[:got], seq) {
				each(time.Since(sent))
				break
			}
		}
	}
	return ctx.Err()
}

// memoryPinger is a host in memory that can do no more than ping, and say its hardware address.
type memoryPinger struct {
	dev    stack.Device
	server ethernet.Addr
	ip     ipv4.Addr
	to     ipv4.Addr
	rx     [16]frame.Desc
}

// pingInMemory sends from the client's device, which no stack uses yet.
func pingInMemory(ctx context.Context, dev stack.Device, server [6]byte, n int, each func(time.Duration)) error {
	p := memoryPinger{dev: dev, server: server, ip: memoryClient.Addr().As4(), to: memoryServer.Addr().As4()}
	for seq := 1; seq <= n && ctx.Err() == nil; seq++ {
		b, err := echoRequest(seq)
		if err != nil {
			return err
		}
		sent := time.Now()
		if err := p.sendIP(b); err != nil {
			return err
		}
		answered := false
		for !answered && time.Since(sent) < pingTimeout {
			if err := dev.Wait(pingTimeout - time.Since(sent)); err != nil {
				return err
			}
			if answered, err = p.receive(seq); err != nil {
				return err
			}
		}
		if answered {
			each(time.Since(sent))
		} else {
			each(0)
		}
	}
	return ctx.Err()
}

// send sends one Ethernet frame to the server.
func (p *memoryPinger) send(t ethernet.Type, payload func(b []byte) int) error {
	pool := p.dev.Pool()
	f := pool.Alloc()
	if f == frame.None {
		return errors.New("no free frame")
	}
	defer pool.Release(f)
	d := frame.Desc{Frame: f, Len: uint32(pool.ChunkSize())}
	b := pool.Bytes(d)
	h := ethernet.Header{Dst: p.server, Src: p.dev.HardwareAddr(), Type: t}
	n := h.Marshal(b)
	d.Len = uint32(n + payload(b[n:]))
	if p.dev.Transmit([]frame.Desc{d}) != 1 {
		return errors.New("the TX ring is full")
	}
	err := p.dev.Flush()
	p.dev.Recycle()
	return err
}

func (p *memoryPinger) sendIP(icmp []byte) error {
	return p.send(ethernet.TypeIPv4, func(b []byte) int {
		h := ipv4.Header{TotalLen: uint16(ipv4.MinHeaderLen + len(icmp)), TTL: ipv4.DefaultTTL, Proto: ipv4.ProtoICMP, Src: p.ip, Dst: p.to}
		n := h.Marshal(b)
		return n + copy(b[n:], icmp)
	})
}

// receive takes what has come, answers ARP requests, and reports whether the reply was there.
func (p *memoryPinger) receive(seq int) (answered bool, err error) {
	n := p.dev.Receive(p.rx[:])
	for _, d := range p.rx[:n] {
		b := p.dev.Pool().Bytes(d)
		var eth ethernet.Header
		off, parseErr := ethernet.Parse(b, &eth)
		switch {
		case parseErr != nil:
		case eth.Type == ethernet.TypeARP:
			err = errors.Join(err, p.answerARP(b[off:]))
		case eth.Type == ethernet.TypeIPv4:
			var ip ipv4.Header
			if ipv4.Parse(b[off:], &ip) == nil && ip.Proto == ipv4.ProtoICMP {
				answered = answered || isReply(ip.Payload(b[off:]), seq)
			}
		}
		p.dev.Pool().Release(d.Frame)
	}
	p.dev.Recycle()
	return answered, err
}

func (p *memoryPinger) answerARP(b []byte) error {
	a, err := ethernet.ParseARP(b)
	if err != nil || a.Op != ethernet.ARPRequest || a.TargetIP != p.ip {
		return nil
	}
	reply := ethernet.ARP{
		Op: ethernet.ARPReply, SenderMAC: p.dev.HardwareAddr(), SenderIP: p.ip, TargetMAC: a.SenderMAC, TargetIP: a.SenderIP,
	}
	return p.send(ethernet.TypeARP, reply.Marshal)
}
