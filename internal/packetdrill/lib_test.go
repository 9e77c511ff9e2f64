package packetdrill

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestLibrary builds the library and has a program in C load it and make packetdrill's calls.
func TestLibrary(t *testing.T) {
	cc, err := exec.LookPath("cc")
	if err != nil {
		t.Skipf("no C compiler: %v (packages gcc and libc6-dev)", err)
	}
	dir := t.TempDir()
	lib, driver := filepath.Join(dir, "libxdpstack.so"), filepath.Join(dir, "driver")
	command := func(name string, args ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), name, args...)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", name, err, out)
		}
	}
	command("go", "build", "-tags", "packetdrill", "-buildmode=c-shared", "-o", lib, "./lib")
	command(cc, "-Wall", "-Werror", "-o", driver, "testdata/driver.c", "-lpthread", "-ldl")
	command(driver, lib)
}
