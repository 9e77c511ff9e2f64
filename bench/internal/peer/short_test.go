package peer

import (
	"encoding/binary"
	"testing"

	"github.com/xdpstack/xdpstack/bench/internal/app"
)

// answer makes what a server sends, by hand.
func answer(to []byte, seq, ack uint32, flags byte, payload int) ([]byte, int) {
	b := make([]byte, HeaderSize)
	copy(b, to[:tcpAt])
	copy(b[tcpAt:], to[tcpAt+2:tcpAt+4])
	copy(b[tcpAt+2:], to[tcpAt:tcpAt+2])
	binary.BigEndian.PutUint32(b[tcpAt+4:], seq)
	binary.BigEndian.PutUint32(b[tcpAt+8:], ack)
	b[tcpAt+12], b[tcpAt+13] = (tcpLen+optionLen)/4<<4, flags
	copy(b[tcpAt+tcpLen:], []byte{1, 1, 8, 10, 0, 0, 1, 0})
	return b, HeaderSize + payload
}

// nextFrame takes a frame that must be due and looks at its checksums.
func nextFrame(t *testing.T, p *Short) []byte {
	t.Helper()
	if p.Due() == 0 {
		t.Fatal("nothing is due")
	}
	b := make([]byte, 512)
	b = b[:p.Frame(b)]
	if err := Verify(b); err != nil {
		t.Fatal(err)
	}
	return b
}

func seqOf(b []byte) uint32 { return binary.BigEndian.Uint32(b[tcpAt+4:]) }
func ackOf(b []byte) uint32 { return binary.BigEndian.Uint32(b[tcpAt+8:]) }

func TestLifeOfAShortConnection(t *testing.T) {
	p := NewShort(DefaultConfig(80))
	for round := range uint32(3) {
		p.Start(1)
		syn := nextFrame(t, p)
		p.Take(answer(syn, 7000, seqOf(syn)+1, flagSYN|flagACK, 0))
		ack, request := nextFrame(t, p), nextFrame(t, p)
		if ackOf(ack) != 7001 || seqOf(request) != seqOf(syn)+1 || string(request[HeaderSize:]) != string(app.OneShot) {
			t.Fatalf("ACK of %d, request at %d: %q", ackOf(ack), seqOf(request), request[HeaderSize:])
		}
		end := seqOf(request) + uint32(len(app.OneShot))
		p.Take(answer(syn, 7001, end, flagACK, 0)) // nothing new
		p.Take(answer(syn, 7001, end, flagACK, len(app.Response)))
		if p.Due() != 0 {
			t.Fatal("something is due before the stack's FIN")
		}
		p.Take(answer(syn, 7001+uint32(len(app.Response)), end, flagFIN|flagACK, 0))
		p.Take(answer(syn, 7001, end, flagACK, 0)) // acknowledges no FIN: none was sent
		if p.Done != uint64(round) {
			t.Fatal("done before the FIN was sent")
		}
		fin := nextFrame(t, p)
		if fin[tcpAt+13] != flagFIN|flagACK || seqOf(fin) != end || ackOf(fin) != 7001+uint32(len(app.Response))+1 {
			t.Fatalf("FIN % x", fin[tcpAt:])
		}
		p.Take(answer(syn, 7002+uint32(len(app.Response)), end+1, flagACK, 0))
		if p.Err != nil || p.Done != uint64(round)+1 {
			t.Fatal(p.Done, p.Err)
		}
	}
}

func TestShortNoticesFaults(t *testing.T) {
	for what, damage := range map[string]func(b []byte, size int) ([]byte, int){
		"reset":          func(b []byte, size int) ([]byte, int) { b[tcpAt+13] = flagRST; return b, size },
		"short response": func(b []byte, size int) ([]byte, int) { return b, size - 1 },
		"another port":   func(b []byte, size int) ([]byte, int) { b[tcpAt+2] = 0; return b, size },
		"bad options":    func(b []byte, size int) ([]byte, int) { b[tcpAt+tcpLen] = 8; return b, size },
	} {
		p := NewShort(DefaultConfig(80))
		p.Start(1)
		syn := nextFrame(t, p)
		p.Take(answer(syn, 7000, seqOf(syn)+1, flagSYN|flagACK, 0))
		nextFrame(t, p)
		p.Take(damage(answer(syn, 7001, seqOf(nextFrame(t, p))+uint32(len(app.OneShot)), flagFIN|flagACK, len(app.Response))))
		if p.Err == nil {
			t.Errorf("%s: not noticed", what)
		}
	}
	p := NewShort(DefaultConfig(80))
	if p.Start(Slots + 1); p.Err == nil {
		t.Error("a port was used again before its connection was at its end")
	}
}
