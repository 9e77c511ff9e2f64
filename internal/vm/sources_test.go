package vm

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// machineWith has these files below a directory of its own.
func machineWith(t *testing.T, files map[string]string) (root string) {
	t.Helper()
	root = t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

const (
	bookworm = "ID=debian\nVERSION_CODENAME=bookworm\n"
	trixie   = "PRETTY_NAME=\"Debian GNU/Linux 13 (trixie)\"\nVERSION_CODENAME=\"trixie\"\nID='debian'\n"
)

func TestMirrors(t *testing.T) {
	for _, c := range []struct {
		name         string
		files        map[string]string
		qemu, kernel string // all lines for QEMU, and the one for the kernel
	}{
		{"lines", map[string]string{
			"etc/os-release": bookworm,
			"etc/apt/sources.list": "# deb http://no/ bookworm main\ndeb-src http://no/ bookworm main\n" +
				"deb\thttp://deb.debian.org/debian bookworm main contrib # a remark\n" +
				"deb [ signed-by=/k.gpg arch=amd64 ] http://security/ bookworm-security main\n" +
				"deb http://other/ stable main\ndeb http://flat/ ./\ndeb [broken http://no/ bookworm main\n",
		}, "deb http://deb.debian.org/debian bookworm main\n" +
			"deb [signed-by=/k.gpg arch=amd64] http://security/ bookworm-security main\n" +
			"deb http://deb.debian.org/debian bookworm-backports main", "deb http://deb.debian.org/debian trixie-backports main"},
		{"stanzas", map[string]string{
			"etc/os-release": trixie,
			"etc/apt/sources.list.d/debian.sources": "Types: deb deb-src\n# a remark\nURIs: https://mirror/debian\nSuites: trixie\n trixie-updates\n" +
				"Components: main\nSigned-By: /k.gpg\n\nTypes: deb\nEnabled: no\nURIs: http://no/\nSuites: trixie\nComponents: main\n\n" +
				"Types: deb-src\nURIs: http://no/\nSuites: trixie\nComponents: main\n",
			"etc/apt/sources.list.d/old.list.save": "deb http://no/ trixie main\n",
		}, "deb [signed-by=/k.gpg] https://mirror/debian trixie main\ndeb [signed-by=/k.gpg] https://mirror/debian trixie-updates main",
			"deb [signed-by=/k.gpg] https://mirror/debian trixie-backports main"},
		{"a key in the stanza, backports there already", map[string]string{
			"etc/os-release": bookworm,
			"etc/apt/sources.list.d/debian.sources": "Types: deb\nURIs: http://mirror/\nSuites: bookworm bookworm-backports\nComponents: main\n" +
				"Signed-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mQIN\n",
			debianKeyring[1:]: "",
		}, "deb [signed-by=" + debianKeyring + "] http://mirror/ bookworm main\ndeb [signed-by=" + debianKeyring + "] http://mirror/ bookworm-backports main",
			"deb [signed-by=" + debianKeyring + "] http://mirror/ trixie-backports main"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, err := findMirrors(machineWith(t, c.files))
			if err != nil {
				t.Fatal(err)
			}
			var lines []string
			for _, s := range m.qemu {
				lines = append(lines, s.String())
			}
			if got := strings.Join(lines, "\n"); got != c.qemu {
				t.Errorf("for QEMU:\n%s\nwant:\n%s", got, c.qemu)
			}
			if got := m.kernel.String(); got != c.kernel {
				t.Errorf("for the kernel: %s, want %s", got, c.kernel)
			}
		})
	}
}

func TestNoMirror(t *testing.T) {
	for _, c := range []struct {
		name  string
		files map[string]string
		want  string
	}{
		{"another system", map[string]string{"etc/os-release": "ID=ubuntu\nVERSION_CODENAME=noble\n"}, "this is ubuntu noble; where to get a kernel and QEMU is known for Debian bookworm and trixie only"},
		{"not even a name", nil, "this is no Debian"},
		{"no source", map[string]string{"etc/os-release": bookworm, "etc/apt/sources.list": "deb http://other/ stable main\n"}, "apt's sources name no mirror with the suite bookworm"},
		{"not main", map[string]string{"etc/os-release": bookworm, "etc/apt/sources.list": "deb http://m/ bookworm contrib\n"}, "no mirror"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := findMirrors(machineWith(t, c.files))
			if !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v; want %q", err, c.want)
			}
		})
	}
}

// TestMirrorDown asks a mirror that is not there, with the real apt-get.
func TestMirrorDown(t *testing.T) {
	if !exists("/usr/bin/apt-get") {
		t.Skip("needs apt-get")
	}
	a, err := newApt(t.TempDir(), "/dev/null", []source{{uri: "http://127.0.0.1:9/debian", suite: "trixie-backports", components: []string{"main"}}})
	if err != nil {
		t.Fatal(err)
	}
	err = a.update(t.Context())
	if !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "127.0.0.1:9") || strings.Contains(err.Error(), "\n") {
		t.Errorf("%v; want one line that names the mirror", err)
	}
}
