package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// fakeProgram stands for packetdrill: it fails for scripts that say so, tells its arguments of others, and never ends for some.
const fakeProgram = `#!/bin/sh
for script; do :; done
case $(cat "$script") in
*FAIL*) echo "$script:7: error handling packet: timing error" >&2; echo more; exit 1;;
*HANG*) exec sleep 60;;
*ARGS*) echo "$@"; exit 1;;
esac
`

// world makes a fake program and a folder of scripts.
func world(t *testing.T, scripts map[string]string) (program, dir string) {
	t.Helper()
	dir = t.TempDir()
	program = filepath.Join(dir, "fake")
	if err := os.WriteFile(program, []byte(fakeProgram), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range scripts {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return program, dir
}

func TestTable(t *testing.T) {
	program, dir := world(t, map[string]string{
		"a.pkt": "0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3", "sub/b.pkt": "FAIL", "c.pkt": "0 %{ assert tcpi_lost == 0 }%", "note.txt": "FAIL",
	})
	var out bytes.Buffer
	failed, err := run(t.Context(), []string{"-packetdrill", program, "-scripts", dir, "-lib", "x.so"}, &out)
	if err != nil || !failed {
		t.Fatalf("failed %v, error %v", failed, err)
	}
	for _, want := range []string{
		"pass", "a.pkt", "error handling packet: timing error", "skip", "asserts on what the local kernel says",
		"3 scripts: 1 passed, 1 failed, 1 cannot be played",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the table does not have %q:\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "more") {
		t.Errorf("the table has more than the first line of an error:\n%s", out.String())
	}
}

func TestJSONAndArguments(t *testing.T) {
	program, dir := world(t, map[string]string{"a.pkt": "ARGS", "b.pkt": "HANG"})
	var out bytes.Buffer
	args := []string{"-packetdrill", program, "-scripts", dir, "-lib", "x.so", "-flags", "mtu=9000", "-json", "-tolerance", "20ms", "-timeout", "300ms"}
	if _, err := run(t.Context(), args, &out); err != nil {
		t.Fatal(err)
	}
	var got []result
	if err := json.Unmarshal(out.Bytes(), &got); err != nil || len(got) != 2 {
		t.Fatalf("%v: %s", err, out.String())
	}
	want := "--so_filename=x.so --tolerance_usecs=20000 --so_flags=mtu=9000 " + filepath.Join(dir, "a.pkt")
	if got[0].Message != want {
		t.Errorf("arguments %q, want %q", got[0].Message, want)
	}
	if got[1].Result != fail || !strings.HasPrefix(got[1].Message, "still running after") {
		t.Errorf("a script that hangs: %+v", got[1])
	}
}

func TestPrepare(t *testing.T) {
	for _, c := range []struct{ name, src, text, why string }{
		{"unchanged", "0 close(3) = 0 // `x` %{\n", "0 close(3) = 0 // `x` %{\n", ""},
		{"set-up", "`sysctl -w a=1\nsysctl -w b=2`\n0 close(3) = 0\n", "\n\n0 close(3) = 0\n", ""},
		{"at once", "0 a(1) = 0\n+0 `sysctl -w a=1`\n+.1 b(2) = 0\n", "0 a(1) = 0\n\n+.1 b(2) = 0\n", ""},
		{"later", "+.5 `sysctl -w a=1`\n", "", "a shell command takes time: +.5 `sysctl -w a=1`"},
		{"assertion", "+0 %{ assert True }%", "", "asserts on what the local kernel says (%{ }%)"},
		{"IPv6", "--ip_version=ipv6\n", "", "IPv6"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if text, why := prepare(c.src); text != c.text || why != c.why {
				t.Errorf("%q, %q", text, why)
			}
		})
	}
}

func TestBadArguments(t *testing.T) {
	program, dir := world(t, nil)
	for _, args := range [][]string{
		{"-packetdrill", program}, {"-packetdrill", "/nowhere", "-scripts", dir}, {"-packetdrill", program, "-scripts", dir, "-lib", "x"},
	} {
		if _, err := run(t.Context(), args, &bytes.Buffer{}); err == nil {
			t.Errorf("%v was accepted", args)
		}
	}
}
