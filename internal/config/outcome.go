package config

// Outcome is what came of reading a configuration again.
type Outcome struct {
	File     string   `json:"file"`
	Applied  bool     `json:"applied"`            // else everything is as it was
	Changes  []Change `json:"changes,omitempty"`  // what is different from before
	Refused  []Change `json:"refused,omitempty"`  // of those, what cannot change while the process runs
	Problems Problems `json:"problems,omitempty"` // or why the new configuration is none
}

// Fail is an Outcome that is refused for one reason.
func Fail(file string, err error) Outcome {
	return Outcome{File: file, Problems: Problems{{File: file, Text: err.Error()}}}
}
