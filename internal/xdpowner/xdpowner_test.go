package xdpowner

import "testing"

func TestIsLink(t *testing.T) {
	const link = "pos:\t0\nflags:\t02000002\nlink_type:\txdp\nlink_id:\t9\nprog_tag:\t0102030405060708\nprog_id:\t42\nifindex:\t3\n"
	for _, tt := range []struct {
		info    string
		program uint32
		want    bool
	}{
		{link, 42, true}, {link, 4, false}, {"pos:\t0\nprog_type:\t6\nprog_id:\t42\n", 42, false}, {"link_type:\ttracing\nprog_id:\t42\n", 42, false},
		{"", 0, false},
	} {
		if got := isLink([]byte(tt.info), tt.program); got != tt.want {
			t.Errorf("%q with %d: %v", tt.info, tt.program, got)
		}
	}
	if all := Find(0); len(all) != 0 {
		t.Errorf("a program that there is none of: %v", all)
	}
}
