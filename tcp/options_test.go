package tcp

import "testing"

func TestParseOptions(t *testing.T) {
	none := Options{WScale: -1}
	for _, c := range []struct {
		name, options string
		syn, ok       bool
		want          Options
	}{
		{"nothing", "", false, true, none},
		{"padding", "01010100", false, true, none},
		{"end, then rubbish", "00ff0303", true, true, none},
		{"aligned timestamps", "0101080a 00000001 00000002", false, true, Options{WScale: -1, HasTS: true, TSVal: 1, TSEcr: 2}},
		{"timestamps, padded behind", "080a 00000001 00000002 0101", false, true, Options{WScale: -1, HasTS: true, TSVal: 1, TSEcr: 2}},
		{"unknown", "fd05aabbcc 020405b4", true, true, Options{WScale: -1, MSS: 1460}},
		{"window scale 0", "01030300", true, true, Options{}},
		{"window scale above 14", "010303ff", true, true, Options{WScale: MaxWScale}},
		{"SYN's options without SYN", "020405b4 01030307 01010402", false, true, none},
		{"SACK on a SYN", "0101050a 00000001 00000002", true, true, none},
		{"two blocks", "0101 0512 00000001 00000002 ffffffff 00000005", false, true,
			Options{WScale: -1, NumSACK: 2, SACK: [4]SACKBlock{{1, 2}, {1<<32 - 1, 5}}}},
		{"Fast Open request", "22020101", true, true, Options{WScale: -1, FastOpen: 34}},
		{"Fast Open cookie", "220a1122334455667788 0101", true, true,
			Options{WScale: -1, FastOpen: 34, CookieLen: 8, Cookie: [16]byte{0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88}}},
		{"Fast Open cookie, experimental", "fe08f989 11223344", true, true,
			Options{WScale: -1, FastOpen: 254, CookieLen: 4, Cookie: [16]byte{0x11, 0x22, 0x33, 0x44}}},
		{"another experiment", "fe08f990 11223344", true, true, none},
		{"Fast Open cookie too short", "22041122", true, true, none},
		{"Fast Open cookie too long", "22141122334455667788112233445566778811220101", true, true, none},
		{"Fast Open cookie of odd length", "2207112233445501", true, true, none},
		{"Fast Open without SYN", "22020101", false, true, none},
		{"length 0", "0100fd00", false, true, none},
		{"unknown with length 0", "fd000000", false, false, none},
		{"unknown with length 1", "fd010000", false, false, none},
		{"length missing", "010101fd", false, false, none},
		{"beyond the header", "fd050000", false, false, none},
		{"good, then bad", "020405b4 03090000", true, false, Options{WScale: -1, MSS: 1460}},
		{"MSS too long", "0206 05b4 0000 0101", true, false, none},
		{"window scale too short", "0302 0101", true, false, none},
		{"SACK-permitted too long", "0403 0101", true, false, none},
		{"timestamps too short", "0809 000000 000000 01 010101", false, false, none},
		{"SACK without blocks", "0502 0101", false, false, none},
		{"SACK with half a block", "0506 00000001 0101", false, false, none},
		{"SACK with five blocks", "052a" + "0000000100000002" + "0000000100000002" + "0000000100000002" + "0000000100000002" +
			"0000000100000002", false, false, none},
	} {
		got := Options{MSS: 7, SACKPermitted: true, HasTS: true, NumSACK: 4} // what was before must not shine through
		if ok := got.parse(unhex(t, c.options), c.syn); ok != c.ok || got != c.want {
			t.Errorf("%s: %v %+v, want %v %+v", c.name, ok, got, c.ok, c.want)
		}
	}
}

func TestMarshalSYNOptions(t *testing.T) {
	for _, c := range []struct {
		name string
		o    Options
		want string
	}{
		{"all", Options{MSS: 1460, SACKPermitted: true, HasTS: true, TSVal: 1, TSEcr: 2, WScale: 7},
			"020405b4 0402 080a 00000001 00000002 01 030307"},
		{"no timestamps", Options{MSS: 1460, SACKPermitted: true, WScale: 7}, "020405b4 01010402 01030307"},
		{"no SACK", Options{MSS: 1460, HasTS: true, TSVal: 1, WScale: 0}, "020405b4 0101080a 00000001 00000000 01030300"},
		{"all, with the longest cookie", Options{MSS: 1460, SACKPermitted: true, HasTS: true, TSVal: 1, TSEcr: 2, WScale: 7, FastOpen: 34, CookieLen: 16,
			Cookie: [16]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}},
			"020405b4 0402 080a 00000001 00000002 01 030307 2212 0102030405060708090a0b0c0d0e0f10 0101"},
		{"Fast Open request", Options{MSS: 536, WScale: -1, FastOpen: 34}, "02040218 22020101"},
		{"Fast Open cookie, experimental", Options{WScale: -1, FastOpen: 254, CookieLen: 4, Cookie: [16]byte{1, 2, 3, 4}}, "fe08f989 01020304"},
		{"MSS only", Options{MSS: 536, WScale: -1}, "02040218"},
		{"nothing", Options{WScale: -1}, ""},
	} {
		b := make([]byte, c.o.wireLen(true))
		c.o.marshal(b, true)
		if want := unhex(t, c.want); string(b) != string(want) {
			t.Errorf("%s: %x, want %x", c.name, b, want)
		}
	}
}
