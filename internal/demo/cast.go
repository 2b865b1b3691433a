package demo

import "strings"

// The demo's people, places and numbers. All numbers are set aside for fiction
// (ACMA and NANPA), all addresses end in .test.

type person struct {
	name, email, role  string
	phone              string
	branches           []string
	fieldworker        bool
	generalFieldworker bool
	devices            []gadget
}

type gadget struct{ name, platform string }

const (
	sydney = "Sydney"
	austin = "Austin"

	dispatcherEmail  = "dispatcher@demo.test"
	officeEmail      = "office@demo.test"
	fieldworkerEmail = "fieldworker@demo.test"
	generalEmail     = "general@demo.test"
)

var branches = []struct{ name, timeZone string }{
	{sydney, "Australia/Sydney"},
	{austin, "America/Chicago"},
}

// people are everybody; the first is the administrator, who is there already.
var people = []person{
	{name: "Ada Novak", email: Email, role: "ADMIN", phone: "+61491570156"}, // of no branch
	{name: "Dan Silva", email: dispatcherEmail, role: "DISPATCHER", phone: "+61491570157", branches: []string{sydney, austin},
		devices: []gadget{{"Dan's browser", "WEB"}, {"Dan's iPhone", "IOS"}}},
	{name: "Olive Chen", email: officeEmail, role: "OFFICE", phone: "+61491570158", branches: []string{sydney},
		devices: []gadget{{"Front desk", "WEB"}}},
	{name: "Finn Walker", email: fieldworkerEmail, role: "FIELDWORKER", phone: "+15125550144", branches: []string{austin}, fieldworker: true,
		devices: []gadget{{"Finn's Android", "ANDROID"}}},
	{name: "Grace Moreau", email: generalEmail, role: "FIELDWORKER", phone: "+61491570159", branches: []string{sydney}, fieldworker: true, generalFieldworker: true,
		devices: []gadget{{"Van tablet", "ANDROID"}}},
}

// line is one number of the demo and how it is set up.
type line struct {
	sid, e164, name, branch string
	isDefault               bool
	settings                func(s *seeder) Vars
}

// The demo's numbers.
var (
	SydneyNumber = "+61255501200"
	AustinNumber = "+15125550100"
	SalesNumber  = "+15125550101"
)

func demoPN(n string) string { return "PN" + strings.Repeat("de30", 7) + "000" + n }

var lines = []line{
	{sid: demoPN("1"), e164: SydneyNumber, name: "Sydney office", branch: sydney, isDefault: true, settings: func(s *seeder) Vars {
		return Vars{
			"businessUnit": "Service",
			"routing": Vars{"mode": "BRANCH", "ringTimeoutSeconds": 20, "includeGeneralFieldworker": true,
				"callForwardingNumber": s.person(dispatcherEmail).phone},
			"prompts": Vars{"welcomeText": "Welcome to Harbour Home Services, Sydney.", "farewellText": "Thank you for calling. Goodbye."},
			"voicemail": Vars{"isEnabled": true, "greetingText": "Nobody can take your call right now. Please leave a message after the tone.",
				"maxSeconds": 120, "ownerId": s.users[officeEmail], "notifiedUserIds": []string{s.users[dispatcherEmail], s.users[officeEmail]}},
			"recording": Vars{"incoming": "FROM_ANSWER_DUAL"},
		}
	}},
	{sid: demoPN("2"), e164: AustinNumber, name: "Austin office", branch: austin, settings: func(s *seeder) Vars {
		return Vars{
			"businessUnit": "Service",
			"routing":      Vars{"mode": "BRANCH", "ringTimeoutSeconds": 20},
			"prompts":      Vars{"welcomeText": "Welcome to Harbour Home Services, Austin."},
			"voicemail": Vars{"isEnabled": true, "greetingText": "You have reached Austin. Please leave a message after the tone.",
				"maxSeconds": 120, "ownerId": s.users[dispatcherEmail], "notifiedUserIds": []string{s.users[dispatcherEmail]}},
		}
	}},
	{sid: demoPN("3"), e164: SalesNumber, name: "Sales", branch: austin, settings: func(s *seeder) Vars {
		return Vars{
			"businessUnit": "Sales",
			"routing":      Vars{"mode": "LAYERED", "ringTimeoutSeconds": 20},
			"prompts":      Vars{"welcomeText": "Thank you for calling our sales team."},
			"voicemail": Vars{"isEnabled": true, "greetingText": "Our sales team will call you back. Please leave a message after the tone.",
				"maxSeconds": 120, "ownerId": s.users[dispatcherEmail], "notifiedUserIds": []string{s.users[dispatcherEmail]}},
		}
	}},
}

type outsider struct {
	name, kind, company, country, phone string
	assigned                            string // e-mail
	tags                                []string
	inCampaign                          bool
}

const (
	alicePhone = "+61491570110"
	bobPhone   = "+15125550160"
	carlaPhone = "+15125550161"
	lenaPhone  = "+15125550162"
	leoPhone   = "+61491570313"
	unknown    = "+61255501299"
	stranger   = "+61491571266"
)

var outsiders = []outsider{
	{name: "Alice Wong", kind: "CUSTOMER", country: "AU", phone: alicePhone, tags: []string{"priority"}},
	{name: "Bob Tran", kind: "CUSTOMER", country: "US", phone: bobPhone},
	{name: "Carla Diaz", kind: "CONTACT", company: "Lakeside Cafe", country: "US", phone: carlaPhone},
	{name: "Lakeside Cafe", kind: "ACCOUNT", company: "Lakeside Cafe", country: "US", phone: "+15125550163"},
	{name: "Lena Fox", kind: "LEAD", country: "US", phone: lenaPhone, assigned: dispatcherEmail, tags: []string{"web form"}},
	{name: "Leo Park", kind: "LEAD", country: "AU", phone: leoPhone, inCampaign: true},
	{name: "Mia Stone", kind: "LEAD", country: "US", phone: "+15125550164", inCampaign: true},
}

const campaignName = "Spring check-up"

var jobs = []struct {
	kind, title, contact, assigned string
	hours                          int // from now to its start; 0 is no start
}{
	{"BOOKING", visited, "Bob Tran", fieldworkerEmail, -21},
	{"BOOKING", "Air conditioner service", "Alice Wong", generalEmail, 24},
	{"BOOKING", "Boiler inspection", "Bob Tran", fieldworkerEmail, 30},
	{"BOOKING", "Kitchen extractor repair", "Carla Diaz", fieldworkerEmail, 54},
	{"QUOTE", "Ducted heating, four rooms", "Lena Fox", dispatcherEmail, 0},
}
