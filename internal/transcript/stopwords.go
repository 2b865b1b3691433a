package transcript

import "strings"

// stops are words that every conversation has, by language. Those of English are
// left out of every language: people say "okay" everywhere.
var stops = map[string]map[string]bool{
	"en": list(`about above after again against all also although always and another any anybody anyone anything are around aren ask asked asking back bad because been before
		being below between both but bye call called calling came can cannot come coming could couldn day days did didn does doesn doing done don down during each else enough
		even ever every everything few fine first for from get gets getting give going gonna good got great guys had hadn has hasn have haven having hello help her here hers
		herself hey him himself his hold how however into isn its itself just keep kind know later least less let like little lot look looking made make makes many may maybe
		mean might mine minute minutes mmm moment more morning most much must mustn myself name need needs never next nice nobody not nothing now number off okay once one only
		onto other our ours ourselves out over own part perfect person phone please probably put quite rather really right said same say saying second see seem seems shall
		she should shouldn since some somebody someone something soon sorry speak speaking speech still such sure take talk tell than thank thanks that the their theirs them
		themselves then there these they thing things think this those thought through till time today together told tomorrow too true try trying two under until upon use used
		using very wait wanna want wanted was wasn way well went were weren what whatever when where which while who whole whom whose why will with within without won wonderful
		word would wouldn yeah year years yep yes yesterday yet you your yours yourself yourselves afternoon channel uhm umm hmm huh`),
	"de": list(`aber alle allem allen aller alles als also am an ander andere anderem anderen anderer auch auf aus bei bin bis bist bitte da damit danke dann das dass dein deine
		dem den denn der des dessen dich die dies diese diesem diesen dieser dieses dir doch dort du durch ein eine einem einen einer eines einfach er es etwas euch euer für
		gar gegen genau gewesen gut guten hab habe haben hallo hat hatte hatten hier hin hinter ich ihm ihn ihnen ihr ihre ihrem ihren im in indem ins ist ja jede jedem jeden
		jeder jedes jetzt kann kein keine können könnte mal man mehr mein meine mich mir mit moment morgen muss musste nach nein nicht nichts noch nun nur ob oder ohne schon
		sehr sein seine sich sie sind so soll sollte sondern sonst tag über um und uns unser unter viel vielleicht vom von vor war waren warst was weg weil weiter welche wenn
		wer werde werden wie wieder will wir wird wirst wo wollen wollte wurde wäre würde zu zum zur zwar zwischen`),
	"es": list(`ahora algo alguien alguna algunos ante antes aquel aquí así aún bien bueno buenas buenos cada casi como con contra cosa cual cuando cómo dar debe decir del desde
		después dice días donde dos el ella ellas ellos entonces entre era eran eres esa ese eso esos esta estaba están estar estas este esto estos estoy está favor fue fueron
		gracias ha haber había hace hacer hasta hay hola hoy las les los luego mañana mas me mi mientras mis mucho muy más nada ni no nos nosotros nuestra nuestro nunca otra
		otro para pero poco por porque puede puedo pues que quien quiere quiero qué se sea señor señora ser si sido siempre sin sobre solo son soy su sus sí tal también tan
		tanto tener tengo tiene tienen toda todas todo todos tu tus un una uno unos usted ustedes va vale vamos ver vez voy ya yo`),
	"fr": list(`ainsi alors après au aucun aussi autre avant avec avez avoir avons bien bon bonjour c'est car ce cela celle celui ces cet cette ceux chaque chez comme comment d'accord
		dans de depuis des deux dire dit doit donc dont du elle elles en encore entre est et était êtes être eu faire fait fois font grâce hein ici il ils jamais je jour la le
		les leur leurs lui là ma madame maintenant mais me merci mes mettre moi moins mon monsieur ne ni non nos notre nous on ont ou oui où par parce pas pendant peu peut peux
		plus pour pourquoi pouvez qu quand que quel quelle quelque qui quoi rien sa sans se sera ses si son sont sous suis sur ta te tes toi ton tous tout toute toutes très tu
		un une va vais vers veux voilà vos votre voulez vous vraiment y été`),
	"it": list(`abbiamo adesso alla allora altro anche ancora avere aveva bene buongiorno casa che chi ciao ci come con cosa così da dai dal dalla degli dei del della delle dello di
		dire dopo dove due ecco era erano essere fare fatto fino forse fra già gli grazie ha hai hanno ho il in io la le lei loro lui ma mai me meno mi mia mio molto ne nei nel
		nella no noi non nostro nulla ogni oggi ora per perché però più poi possiamo posso prego prima può quale quando quanto quella quello questa questi questo qui se sei
		senza si siamo sia solo sono sopra sta stato su sua subito sul sulla suo tra tutti tutto un una uno va vabbè via voi vuole`),
	"nl": list(`aan al alles als altijd ben bent bij daar dan dank dat de deze die dit doe doen door dus een en er even geen goed goede had hallo heb hebben heeft hem het hier hij hoe
		hun iets ik in is ja je jij jou jullie kan kom kunnen kunt maar me meer men met mij mijn moet na naar nee niet niets nog nu of om omdat ons ook op over te toch toen tot
		u uit uw van veel voor want waren was wat we wel wij wil worden wordt zal ze zei zeer zelf zich zij zijn zo zonder zou`),
	"pt": list(`agora ainda algo alguém antes aqui assim até bem boa bom cada com como coisa da das de depois desde dia do dois dos ela elas ele eles em então entre era eram essa esse
		esta estar estava este está estou eu fazer foi foram hoje há isso isto já lhe mais mas me mesmo meu minha muito na nada não nas nem no nos nossa nosso num nunca não
		obrigada obrigado olá onde ou outra outro para pela pelo pode por porque posso pra qual quando que quem quer quero se sem sempre senhor senhora ser seu sim só sobre
		sou sua são também tem tenho ter toda todo todos tudo um uma umas uns vai vamos você vocês vou`),
}

func list(words string) map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(words) {
		m[w] = true
	}
	return m
}

func isStop(word, language string) bool { return stops["en"][word] || stops[language][word] }
