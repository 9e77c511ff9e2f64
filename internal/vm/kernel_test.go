package vm

import (
	"encoding/binary"
	"strings"
	"testing"
)

// bzImage is one with a setup part of n sectors and this payload, with its length when decompressed behind it.
func bzImage(n byte, payload string, length uint32) []byte {
	b := make([]byte, 512*(int(n)+1)+16)
	b[setupSectors] = n
	copy(b[headerMagic:], "HdrS")
	binary.LittleEndian.PutUint16(b[headerVersion:], 0x20f)
	binary.LittleEndian.PutUint32(b[payloadOffset:], 16)
	binary.LittleEndian.PutUint32(b[payloadLength:], uint32(len(payload)+4))
	b = append(b, payload...)
	return binary.LittleEndian.AppendUint32(b, length)
}

func TestPayload(t *testing.T) {
	for start, suffix := range compressions {
		p, s, n, err := payload(append(bzImage(3, start+"rest", 1000), "more"...))
		if err != nil || !strings.HasPrefix(string(p), start+"rest") || s != suffix || n != 1000 {
			t.Errorf("%x: %q, %q, %d, %v", start, p, s, n, err)
		}
	}
}

func TestNoPayload(t *testing.T) {
	old := bzImage(3, "\x28\xb5\x2f\xfdrest", 1)
	binary.LittleEndian.PutUint16(old[headerVersion:], 0x207)
	short := bzImage(3, "\x28\xb5\x2f\xfdrest", 1)
	for _, c := range []struct {
		name  string
		image []byte
		want  string
	}{
		{"text", []byte("no kernel"), "not a bzImage"},
		{"old", old, "not a bzImage"},
		{"cut off", short[:len(short)-1], "cut off"},
		{"unknown", bzImage(1, "BZh9rest", 1), "unknown way (425a6839)"},
	} {
		if _, _, _, err := payload(c.image); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v; want %q", c.name, err, c.want)
		}
	}
}
