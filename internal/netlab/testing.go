package netlab

// TB is the part of [testing.TB] that ForTest needs.
type TB interface {
	Helper()
	Skipf(format string, args ...any)
	Fatalf(format string, args ...any)
	Errorf(format string, args ...any)
	Cleanup(func())
}

// ForTest makes a lab that ends with the test. The test is skipped, with the reason, where no lab can be made.
func ForTest(t TB, cfg Config) *Lab {
	t.Helper()
	if err := Available(); err != nil {
		t.Skipf("needs a network lab: %v", err)
	}
	if _, err := Sweep(); err != nil {
		t.Fatalf("%v", err)
	}
	lab, err := New(cfg)
	if err != nil {
		t.Fatalf("%v", err)
	}
	t.Cleanup(func() {
		if err := lab.Close(); err != nil {
			t.Errorf("%v", err)
		}
	})
	return lab
}
