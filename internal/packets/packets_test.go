package packets

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/gopacket/gopacket/pcapgo"
)

// synFrame is a SYN from 192.0.2.1:40000 to 198.51.100.2:80.
var synFrame = []byte{
	2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0,
	0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0, 192, 0, 2, 1, 198, 51, 100, 2,
	0x9c, 0x40, 0, 80, 0, 0, 0, 7, 0, 0, 0, 0, 0x50, 2, 0, 0, 0, 0, 0, 0,
}

var arpFrame = append([]byte{255, 255, 255, 255, 255, 255, 2, 0, 0, 0, 0, 1, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1},
	2, 0, 0, 0, 0, 1, 192, 0, 2, 1, 0, 0, 0, 0, 0, 0, 192, 0, 2, 9)

func TestExpressions(t *testing.T) {
	fragment := slices.Clone(synFrame)
	fragment[21] = 1
	for text, want := range map[string][3]bool{ // SYN, ARP, a later fragment of the SYN
		"":                                  {true, true, true},
		"tcp":                               {true, false, true},
		"udp or arp":                        {false, true, false},
		"not tcp":                           {false, true, false},
		"! tcp":                             {false, true, false},
		"host 192.0.2.1":                    {true, true, true},
		"dst host 192.0.2.1":                {false, false, false},
		"src net 192.0.2.0/24 and port 80":  {true, false, false},
		"portrange 79-81":                   {true, false, false},
		"src port 80":                       {false, false, false},
		"syn and not ack":                   {true, false, false},
		"tcp && (port 81 || dst port 80)":   {true, false, false},
		"(tcp)and(port 80)":                 {true, false, false},
		"ip and not (host 10.0.0.1 or rst)": {true, false, true},
		"arp or udp and port 80":            {false, true, false},
		"less 45":                           {false, true, false},
		"greater 54":                        {true, false, true},
		"net 0.0.0.0/0":                     {true, true, true},
		"not not tcp":                       {true, false, true},
	} {
		m, err := Parse(text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if got := [3]bool{m(synFrame), m(arpFrame), m(fragment)}; got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
		for n := range synFrame {
			m(synFrame[:n])
		}
	}
}

func TestMistakes(t *testing.T) {
	for text, at := range map[string]int{
		"tcp and": 7, "foo": 0, "tcp foo": 4, "port": 4, "port x": 5, "port 65536": 5, "host 1.2.3": 5, "net 1.2.3.4": 4, "(tcp": 0, "tcp)": 3,
		"src tcp": 4, "portrange 5": 10, "portrange 5-4": 10, "host ::1": 5, "less -1": 5, "tcp & udp": 4, "tcp\x00": 3, "not": 3, "port 1-2": 5,
		strings.Repeat("(", 100): 65,
	} {
		_, err := Parse(text)
		var e *SyntaxError
		if !errors.As(err, &e) || e.At != at {
			t.Errorf("%q: %v, want a mistake at %d", text, err, at)
		}
	}
	if _, err := Parse(strings.Repeat("tcp and ", 1000) + "tcp"); err == nil {
		t.Error("an expression without end")
	}
}

func FuzzParse(f *testing.F) {
	f.Add("tcp and (src port 80 or not host 192.0.2.1)", synFrame)
	f.Add("portrange 1-2 && ! net 10.0.0.0/8 || less 60", arpFrame)
	f.Fuzz(func(t *testing.T, text string, frame []byte) {
		m, err := Parse(text)
		if err != nil {
			_ = err.Error()
			return
		}
		m(frame)
		if err := (&Record{Data: frame}).Line(&bytes.Buffer{}); err != nil {
			t.Fatal(err)
		}
	})
}

func TestFile(t *testing.T) {
	var b bytes.Buffer
	f, err := NewFile(&b, "eth0", "tcp", 65535)
	if err != nil {
		t.Fatal(err)
	}
	const at = 1_800_000_000_123_456_789
	for _, r := range []Record{
		{Time: at, Queue: 3, Reason: "drop_no_listener", Len: 2000, Data: synFrame}, {Time: at + 1, Sent: true, Len: 42, Data: arpFrame},
	} {
		if err := f.Write(&r); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(2, 5); err != nil {
		t.Fatal(err)
	}
	r, err := pcapgo.NewNgReader(&b, pcapgo.NgReaderOptions{})
	if err != nil {
		t.Fatal(err)
	}
	data, info, opts, err := r.ReadPacketDataWithOptions()
	if err != nil || !bytes.Equal(data, synFrame) || info.Timestamp.UnixNano() != at || info.Length != 2000 ||
		opts.Queue == nil || *opts.Queue != 3 || len(opts.Comments) != 1 || opts.Comments[0] != "dropped: drop_no_listener, queue 3" {
		t.Errorf("%+v %+v, %v", info, opts, err)
	}
	_, _, opts, err = r.ReadPacketDataWithOptions()
	if err != nil || len(opts.Comments) != 0 || opts.Flags.Direction != pcapgo.NgEpbFlagDirectionOutbound {
		t.Errorf("%+v, %v", opts, err)
	}
}
