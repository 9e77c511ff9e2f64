package tcp

import "testing"

func TestFlagsString(t *testing.T) {
	for f, want := range map[Flags]string{
		0:                           ".",
		FlagSYN:                     "S",
		FlagSYN | FlagACK:           "SA",
		FlagFIN | FlagPSH | FlagACK: "FPA",
		FlagSYN | FlagECE | FlagCWR: "SEC",
		FlagRST:                     "R",
		FlagURG | FlagACK:           "AU",
		255:                         "FSRPAUEC",
	} {
		if got := f.String(); got != want {
			t.Errorf("%#x is %q, want %q", uint8(f), got, want)
		}
	}
}

func TestStateString(t *testing.T) {
	if got := StateSynReceived.String(); got != "SYN-RECEIVED" {
		t.Errorf("StateSynReceived is %q", got)
	}
	if got := StateTimeWait.String(); got != "TIME-WAIT" {
		t.Errorf("StateTimeWait is %q", got)
	}
	if got := State(99).String(); got != "State(99)" {
		t.Errorf("an unknown state is %q", got)
	}
}
