package metrics

// SnakeCase turns a field's name into a metric's: words are separated where the case says that one begins. Abbreviations are one
// word, with a plural s and in the forms IPv4 and IPv6 too: RSTsSent is rsts_sent, IPv4BadLength is ipv4_bad_length.
func SnakeCase(name string) string {
	out := make([]byte, 0, len(name)+8)
	for i := range len(name) {
		c := name[i]
		if !isUpper(c) {
			out = append(out, c)
			continue
		}
		if i > 0 && name[i-1] != '_' && (!isUpper(name[i-1]) || startsWord(name[i+1:])) {
			out = append(out, '_')
		}
		out = append(out, c-'A'+'a')
	}
	return string(out)
}

// startsWord reports whether a capital that follows capitals begins a word, by what comes after it.
func startsWord(rest string) bool {
	switch {
	case rest == "" || !isLower(rest[0]):
		return false
	case rest[0] == 's' && (len(rest) == 1 || !isLower(rest[1])):
		return false // the plural of an abbreviation
	case rest[0] == 'v' && len(rest) > 1 && (rest[1] == '4' || rest[1] == '6'):
		return false // IPv4
	}
	return true
}

func isUpper(c byte) bool { return 'A' <= c && c <= 'Z' }
func isLower(c byte) bool { return 'a' <= c && c <= 'z' }
