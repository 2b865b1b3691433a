package message

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

// SniffMedia is the type of a file by its content: the first 512 bytes are
// enough. It is false for what no message carries, and for everything that a
// browser or computer could run: pages, SVG, scripts, programs, archives (R144).
func SniffMedia(head []byte) (contentType string, ok bool) {
	at := func(offset int, s string) bool {
		return len(head) >= offset+len(s) && string(head[offset:offset+len(s)]) == s
	}
	switch {
	case at(0, "\xff\xd8\xff"):
		return "image/jpeg", true
	case at(0, "\x89PNG\r\n\x1a\n"):
		return "image/png", true
	case at(0, "GIF87a"), at(0, "GIF89a"):
		return "image/gif", true
	case at(0, "RIFF") && at(8, "WEBP"):
		return "image/webp", true
	case at(0, "RIFF") && at(8, "WAVE"):
		return "audio/wav", true
	case at(0, "II*\x00"), at(0, "MM\x00*"):
		return "image/tiff", true
	case at(0, "BM") && at(6, "\x00\x00\x00\x00") && len(head) >= 18 && at(15, "\x00\x00\x00"):
		return "image/bmp", true
	case at(4, "ftyp") && len(head) >= 12:
		return brand(string(head[8:12]))
	case at(4, "moov"), at(4, "mdat"), at(4, "wide"): // QuickTime of before 2001
		return "video/quicktime", true
	case at(0, "\x1a\x45\xdf\xa3"): // EBML: Matroska says "matroska" here
		return "video/webm", bytes.Contains(head[:min(len(head), 64)], []byte("webm"))
	case at(0, "OggS"):
		return "audio/ogg", true
	case at(0, "#!AMR\n"), at(0, "#!AMR-WB\n"):
		return "audio/amr", true
	case at(0, "ID3"), mp3Frame(head):
		return "audio/mpeg", true
	case len(head) >= 7 && head[0] == 0xff && head[1]&0xf6 == 0xf0: // ADTS
		return "audio/aac", true
	case at(0, "%PDF-"):
		return "application/pdf", true
	}
	return sniffText(head)
}

// brand is the type of an ISO media file by its major brand (mp4ra.org).
func brand(b string) (string, bool) {
	switch b {
	case "heic", "heix", "heim", "heis", "hevc", "hevx", "mif1", "msf1":
		return "image/heic", true
	case "M4A ", "M4B ", "M4P ":
		return "audio/mp4", true
	case "qt  ":
		return "video/quicktime", true
	case "isom", "iso2", "iso3", "iso4", "iso5", "iso6", "mp41", "mp42", "avc1", "M4V ", "M4VH", "M4VP", "MSNV", "dash":
		return "video/mp4", true
	}
	switch {
	case strings.HasPrefix(b, "3g2"):
		return "video/3gpp2", true
	case strings.HasPrefix(b, "3gp"), strings.HasPrefix(b, "3gr"), strings.HasPrefix(b, "3gs"), strings.HasPrefix(b, "3ge"), strings.HasPrefix(b, "3gg"):
		return "video/3gpp", true
	}
	return "", false
}

// mp3Frame knows the header of an MPEG layer III frame without an ID3 tag.
func mp3Frame(h []byte) bool {
	return len(h) >= 4 && h[0] == 0xff && h[1]&0xe0 == 0xe0 && h[1]>>3&3 != 1 && h[1]>>1&3 == 1 && h[2]>>4 != 15 && h[2]>>4 != 0 && h[2]>>2&3 != 3
}

// sniffText takes plain text, business cards and calendar entries, and refuses
// every text that some program would run or show as a page.
func sniffText(head []byte) (string, bool) {
	head = bytes.TrimPrefix(head, []byte("\xef\xbb\xbf"))
	for i := 1; i < utf8.UTFMax && i <= len(head); i++ { // the cut may go through a character
		if tail := head[len(head)-i:]; utf8.RuneStart(tail[0]) {
			if !utf8.FullRune(tail) {
				head = head[:len(head)-i]
			}
			break
		}
	}
	text := strings.ToLower(strings.TrimSpace(string(head)))
	switch {
	case text == "" || !utf8.Valid(head):
		return "", false
	case strings.ContainsFunc(text, func(r rune) bool { return r < ' ' && r != '\n' && r != '\r' && r != '\t' || r == 0x7f }):
		return "", false
	case strings.HasPrefix(text, "begin:vcard"):
		return "text/vcard", true
	case strings.HasPrefix(text, "begin:vcalendar"):
		return "text/calendar", true
	}
	for _, start := range []string{"<", "#!", "%!ps", `{\rtf`, "@echo"} {
		if strings.HasPrefix(text, start) {
			return "", false
		}
	}
	for _, part := range []string{"<script", "<html", "<svg", "<iframe", "<body", "<!doctype", "<?php", "javascript:"} {
		if strings.Contains(text, part) {
			return "", false
		}
	}
	return "text/plain", true
}

// baseType is a content type without its parameters, by its usual name.
func baseType(t string) string {
	t, _, _ = strings.Cut(t, ";")
	t = strings.ToLower(strings.TrimSpace(t))
	if usual, ok := usualName[t]; ok {
		return usual
	}
	return t
}

var usualName = map[string]string{
	"image/jpg": "image/jpeg", "image/pjpeg": "image/jpeg", "image/x-png": "image/png", "image/heif": "image/heic", "image/x-ms-bmp": "image/bmp", "image/tif": "image/tiff",
	"audio/mp3": "audio/mpeg", "audio/x-mp3": "audio/mpeg", "audio/x-mpeg": "audio/mpeg", "audio/mpeg3": "audio/mpeg",
	"audio/x-wav": "audio/wav", "audio/wave": "audio/wav", "audio/vnd.wave": "audio/wav", "audio/m4a": "audio/mp4", "audio/x-m4a": "audio/mp4", "audio/x-aac": "audio/aac",
	"audio/amr-nb": "audio/amr", "audio/amr-wb": "audio/amr", "application/ogg": "audio/ogg", "audio/opus": "audio/ogg", "audio/vorbis": "audio/ogg",
	"video/mpeg4": "video/mp4", "video/x-m4v": "video/mp4", "video/3gp": "video/3gpp", "video/mov": "video/quicktime",
	"text/x-vcard": "text/vcard", "text/directory": "text/vcard", "application/vcard": "text/vcard", "text/x-vcalendar": "text/calendar", "application/x-pdf": "application/pdf",
}

// SameKind reports whether a file is of the sort that it was said to be. A
// picture is a picture, whichever format: carriers turn one into another and
// keep the name. Audio may come in a container made for film. A type that says
// nothing is never wrong. What is found is what a file is served as.
func SameKind(declared, found string) bool {
	declared, found = baseType(declared), baseType(found)
	if found == "" {
		return false
	}
	if declared == found || declared == "" || declared == "application/octet-stream" || declared == "binary/octet-stream" {
		return true
	}
	said, _, _ := strings.Cut(declared, "/")
	is, _, _ := strings.Cut(found, "/")
	switch {
	case said != is:
		return said == "audio" && (found == "video/mp4" || found == "video/3gpp" || found == "video/3gpp2" || found == "video/webm") ||
			said == "video" && found == "audio/mp4"
	case is == "image":
		return declared != "image/svg+xml"
	case is == "text":
		return found == "text/plain" && (declared == "text/csv" || declared == "text/markdown")
	}
	return is == "audio" || is == "video"
}
