package pkt

import (
	"path/filepath"
	"strings"
	"testing"
)

// scripts is where the packet scripts of the TCP core are: one behaviour each.
const scripts = "../../tcp/testdata/scripts/*.pkt"

// TestScripts plays every script against the core. One of them: go test ./internal/pkt -run TestScripts/name
func TestScripts(t *testing.T) {
	files, err := filepath.Glob(scripts)
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts in %s: %v", scripts, err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".pkt"), func(t *testing.T) {
			t.Parallel()
			if err := RunFile(f); err != nil {
				t.Error(err)
			}
		})
	}
}
