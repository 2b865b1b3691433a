package number

import (
	"strings"
	"unicode/utf8"

	"switchboard/internal/errs"
)

// CheckSpeech says whether a voice, a language and a text to be spoken go together;
// a nil text is none. Codes: errs.Invalid at voice, language or text.
func CheckSpeech(voice, language string, text *string) error {
	switch {
	case !voiceName.MatchString(voice):
		return errs.New(errs.Invalid, "this is not a voice; take one of Twilio's, such as Polly.Joanna").At("voice")
	case !languageCode.MatchString(language):
		return errs.New(errs.Invalid, "this is not a language; write it such as en-AU").At("language")
	case text == nil:
		return nil
	case !utf8.ValidString(*text) || strings.ContainsRune(*text, 0):
		return errs.New(errs.Invalid, "the text holds characters that cannot be stored; type it anew").At("text")
	}
	if limit := spoken(voice); utf8.RuneCountInString(*text) > limit {
		return errs.New(errs.Invalid, "the text is longer than the %d characters that this voice speaks; shorten it, or choose another voice", limit).At("text")
	}
	return nil
}
