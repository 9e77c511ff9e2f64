package soak

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/internal/netlab"
)

var duration = flag.Duration("soak", 2*time.Minute, "how long to soak")
var seed = flag.Uint64("soak.seed", 1, "order of the faults")

func TestMain(m *testing.M) {
	if os.Getenv(PeerVariable) != "" {
		Peer()
		return
	}
	os.Exit(m.Run())
}

// TestSoak is the short one; make soak-wire runs it for longer.
func TestSoak(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes minutes")
	}
	if err := netlab.Available(); err != nil {
		t.Skip(err)
	}
	dir, err := os.MkdirTemp("", "xdpstack-soak-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil { // the server becomes another user, and reads its configuration again
		t.Fatal(err)
	}
	binary := filepath.Join(dir, "xdpstack")
	if out, err := exec.Command("go", "build", "-o", binary, "github.com/xdpstack/xdpstack/cmd/xdpstack").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	res, err := Run(t.Context(), Config{Duration: *duration, Seed: *seed, Binary: binary, Dir: dir, Log: t.Logf})
	if res != nil {
		t.Logf("seed %d: %v", *seed, res)
	}
	if err != nil {
		t.Error(err)
	}
}
