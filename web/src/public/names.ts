const KEY = "anime-leak.name";
const MOODS = ["Brave", "Sleepy", "Lucky", "Stormy", "Gentle", "Cosmic", "Hungry", "Secret", "Electric", "Paper"];
const HEROES = ["Tanuki", "Kitsune", "Heron", "Comet", "Onigiri", "Firefly", "Typhoon", "Lantern", "Koi", "Sparrow"];

const pick = (words: readonly string[]) => words[Math.floor(Math.random() * words.length)] ?? "";

/** A name to offer: the one that was offered here before, else a new friendly one that stays. */
export function offeredName(): string {
  const kept = localStorage.getItem("anime-leak.subject") ?? localStorage.getItem(KEY);
  if (kept) return kept;
  const name = `${pick(MOODS)} ${pick(HEROES)}`;
  localStorage.setItem(KEY, name);
  return name;
}
