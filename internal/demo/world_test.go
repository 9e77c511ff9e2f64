package demo

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/xdpstack/xdpstack/afxdp"
	"github.com/xdpstack/xdpstack/internal/netlab"
)

// veth has no zero-copy. So this fails wherever it runs, as root in the stack, else before; what the attempt made is gone then.
func TestOpenWithoutAFXDP(t *testing.T) {
	cfg := WorldConfig{Kind: Veth, AFXDP: afxdp.Options{Mode: afxdp.ModeZeroCopy}}
	w, err := Open(cfg)
	if err == nil {
		t.Fatalf("got %q, %v", w.Title, w.Close())
	}
	if netlab.Available() == nil && !errors.Is(err, afxdp.ErrNoZeroCopy) {
		t.Errorf("error %v", err)
	}
	cfg.Kind = Auto
	w, err = Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if w.Kind != Memory || w.Reason == "" || strings.Contains(w.Reason, "asked for") {
		t.Errorf("%q, because %q", w.Kind, w.Reason)
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	left, err := os.ReadDir("/run/netns")
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	for _, e := range left {
		if strings.HasPrefix(e.Name(), fmt.Sprintf("xs-demo-%d-", os.Getpid())) {
			t.Errorf("namespace %s is still there", e.Name())
		}
	}
}
