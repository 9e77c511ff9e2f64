package measure

import (
	"encoding/binary"
	"testing"

	"github.com/xdpstack/xdpstack/gen"
	"github.com/xdpstack/xdpstack/internal/checksum"
)

// packet builds an intact UDP packet with a signature, of 62 bytes.
func packet(s gen.Signature) []byte { return packetOf(62, s) }

// packetOf builds one of so many bytes.
func packetOf(size int, s gen.Signature) []byte {
	b := make([]byte, size)
	b[12], b[13] = 8, 0
	ip := b[14:]
	ip[0], ip[8], ip[9] = 0x45, 64, 17
	binary.BigEndian.PutUint16(ip[2:], uint16(len(ip)))
	copy(ip[12:], []byte{10, 0, 0, 1, 10, 0, 0, 2})
	binary.BigEndian.PutUint16(ip[10:], checksum.Finish(checksum.Sum(ip[:20], 0)))
	udp := ip[20:]
	binary.BigEndian.PutUint16(udp[2:], 9)
	binary.BigEndian.PutUint16(udp[4:], uint16(len(udp)))
	gen.PutSignature(udp[len(udp)-gen.SignatureLen:], s)
	pseudo := checksum.Sum(ip[12:20], 17+uint32(len(udp)))
	binary.BigEndian.PutUint16(udp[6:], checksum.Finish(checksum.Sum(udp, pseudo)))
	return b
}

// resign puts another signature into a packet that packet has made, and keeps its checksum right.
func resign(b []byte, s gen.Signature) {
	gen.PutSignature(b[len(b)-gen.SignatureLen:], s)
	ip := b[14:]
	udp := ip[20:]
	udp[6], udp[7] = 0, 0
	binary.BigEndian.PutUint16(udp[6:], checksum.Finish(checksum.Sum(udp, checksum.Sum(ip[12:20], 17+uint32(len(udp))))))
}

func newMeter(t testing.TB, cfg Config) *Meter {
	t.Helper()
	m, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// report is what a Recorder around the meter would say.
func report(m *Meter) Report {
	r := Recorder{meter: m}
	return r.Report()
}
