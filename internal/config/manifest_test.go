package config

import (
	"bytes"
	"errors"
	"io"
	"os"
	"testing"

	"go.yaml.in/yaml/v3"
)

// TestManifest checks the configuration that deploy/serve.yaml gives to its pods.
func TestManifest(t *testing.T) {
	b, err := os.ReadFile("../../deploy/serve.yaml")
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for d := yaml.NewDecoder(bytes.NewReader(b)); ; {
		var object struct {
			Kind string
			Data map[string]string
		}
		if err := d.Decode(&object); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		for name, text := range object.Data {
			found = true
			if err := Parse(name, []byte(text)).Check(); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	if !found {
		t.Error("no configuration")
	}
}
