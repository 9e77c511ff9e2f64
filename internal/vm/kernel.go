package vm

import (
	"context"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"time"
)

// kernel is a kernel that was unpacked, never installed.
type kernel struct {
	release string
	image   string // an ELF file, which QEMU starts without a boot loader and without decompression
	modules string // directory with the module files
}

// fetchKernel downloads the newest kernel of the mirror's suite into dir.
func fetchKernel(ctx context.Context, dir string, from source) error {
	root := filepath.Join(dir, "root")
	a, err := newApt(filepath.Join(dir, "apt"), "/dev/null", []source{from})
	if err != nil {
		return err
	}
	if err := a.update(ctx); err != nil {
		return err
	}
	packages, err := kernelPackages(ctx, a)
	if err != nil {
		return err
	}
	if _, err := a.run(ctx, downloadTimeout, dir, "apt-get", append([]string{"download"}, packages...)...); err != nil {
		return unavailable("the kernel could not be downloaded: %w", err)
	}
	if err := unpack(ctx, dir, root); err != nil {
		return err
	}
	if err := arrange(ctx, dir, root); err != nil {
		return err
	}
	return errors.Join(os.RemoveAll(root), os.RemoveAll(a.dir))
}

var (
	imagePackage = regexp.MustCompile(`Depends: (linux-image-[0-9]\S*)`)
	partPackage  = regexp.MustCompile(`Depends: (linux-(?:binary|modules)-[0-9]\S*)`)
)

// kernelPackages are the packages that have the kernel and its modules: one, or three since Debian splits them.
func kernelPackages(ctx context.Context, a *apt) ([]string, error) {
	text, err := a.run(ctx, time.Minute, "", "apt-cache", "depends", "linux-image-amd64")
	if err != nil {
		return nil, unavailable("the mirror has no kernel: %w", err)
	}
	image := imagePackage.FindStringSubmatch(text)
	if image == nil {
		return nil, unavailable("linux-image-amd64 depends on no kernel image")
	}
	packages := []string{image[1]}
	if text, err = a.run(ctx, time.Minute, "", "apt-cache", "depends", image[1]); err != nil {
		return nil, unavailable("%s: %w", image[1], err)
	}
	for _, m := range partPackage.FindAllStringSubmatch(text, -1) {
		packages = append(packages, m[1])
	}
	return packages, nil
}

// arrange moves what the guest needs of the unpacked packages to dir: the image, the modules, and a file with the release.
func arrange(ctx context.Context, dir, root string) error {
	found, _ := filepath.Glob(filepath.Join(root, "usr/lib/modules/*"))
	old, _ := filepath.Glob(filepath.Join(root, "lib/modules/*"))
	if found = append(found, old...); len(found) != 1 {
		return unavailable("the kernel's packages have %d directories of modules, not one", len(found))
	}
	name := filepath.Base(found[0])
	compressed := filepath.Join(found[0], "vmlinuz")
	if !exists(compressed) {
		compressed = filepath.Join(root, "boot/vmlinuz-"+name)
	}
	if err := extractImage(ctx, compressed, filepath.Join(dir, "vmlinux")); err != nil {
		return fmt.Errorf("vm: kernel %s: %w", name, err)
	}
	if err := os.Rename(filepath.Join(found[0], "kernel"), filepath.Join(dir, "modules")); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "release"), []byte(name), 0o644)
}

// readKernel is the kernel that fetchKernel left in dir.
func readKernel(dir string) (*kernel, error) {
	name, err := os.ReadFile(filepath.Join(dir, "release"))
	if err != nil {
		return nil, fmt.Errorf("vm: kernel: %w", err)
	}
	return &kernel{release: string(name), image: filepath.Join(dir, "vmlinux"), modules: filepath.Join(dir, "modules")}, nil
}

// Offsets in the header of a bzImage: Documentation/arch/x86/boot.rst of the kernel.
const (
	setupSectors  = 0x1f1 // sectors of 512 bytes before the protected-mode part, without the first
	headerMagic   = 0x202 // "HdrS"
	headerVersion = 0x206
	payloadOffset = 0x248 // of the compressed kernel, from the protected-mode part
	payloadLength = 0x24c
	headerEnd     = 0x250
)

// compressions tells by the first bytes which name apt's decompression must see.
var compressions = map[string]string{"\x28\xb5\x2f\xfd": ".zst", "\xfd7zX": ".xz", "\x1f\x8b\x08\x00": ".gz"}

// payload finds the compressed kernel in a bzImage, and the length that it has when it is decompressed.
func payload(image []byte) (compressed []byte, suffix string, length int, err error) {
	if len(image) < headerEnd || string(image[headerMagic:headerMagic+4]) != "HdrS" ||
		binary.LittleEndian.Uint16(image[headerVersion:]) < 0x208 {
		return nil, "", 0, errors.New("not a bzImage of boot protocol 2.08 or newer")
	}
	start := (int(image[setupSectors])+1)*512 + int(binary.LittleEndian.Uint32(image[payloadOffset:]))
	n := int(binary.LittleEndian.Uint32(image[payloadLength:]))
	if n < 8 || start+n > len(image) {
		return nil, "", 0, errors.New("a bzImage that is cut off")
	}
	p := image[start : start+n]
	suffix, ok := compressions[string(p[:4])]
	if !ok {
		return nil, "", 0, fmt.Errorf("compressed in an unknown way (%x)", p[:4])
	}
	if suffix == ".gz" { // which has its length at its end already
		return p, suffix, int(binary.LittleEndian.Uint32(p[n-4:])), nil
	}
	return p[:n-4], suffix, int(binary.LittleEndian.Uint32(p[n-4:])), nil
}

// extractImage writes the kernel that is compressed in a bzImage. Booting it so saves a second of emulation.
func extractImage(ctx context.Context, from, to string) error {
	image, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	compressed, suffix, length, err := payload(image)
	if err != nil {
		return err
	}
	temporary := to + suffix
	if err := os.WriteFile(temporary, compressed, 0o644); err != nil {
		return err
	}
	defer func() { _ = os.Remove(temporary) }() // else it goes with the cache
	plain, err := decompress(ctx, temporary)
	if err != nil {
		return err
	}
	if len(plain) != length {
		return fmt.Errorf("%d bytes when decompressed, not %d", len(plain), length)
	}
	if err := os.WriteFile(to, plain, 0o644); err != nil {
		return err
	}
	f, err := elf.Open(to)
	if err != nil {
		return err
	}
	return f.Close()
}
