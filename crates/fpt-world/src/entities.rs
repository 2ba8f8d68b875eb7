//! The things of the world. Every one is a single word, and a single token.

/// People.
pub const NAMES: [&str; 24] = [
    "Anna", "Ben", "Carl", "Dora", "Emil", "Fay", "Gus", "Hana", "Ivan", "Jane", "Kurt", "Lily",
    "Mark", "Nora", "Otto", "Pam", "Quinn", "Rosa", "Sam", "Tina", "Ugo", "Vera", "Walt", "Yara",
];
/// Towns.
pub const TOWNS: [&str; 12] = [
    "Arden", "Brill", "Corby", "Dover", "Elgin", "Fargo", "Gouda", "Hull", "Izmir", "Jena", "Kiel",
    "Luton",
];
/// Professions.
pub const JOBS: [&str; 10] = [
    "baker", "teacher", "farmer", "doctor", "pilot", "singer", "painter", "lawyer", "sailor",
    "nurse",
];
/// Pets.
pub const ANIMALS: [&str; 8] = [
    "cat", "dog", "horse", "rabbit", "parrot", "goat", "duck", "mouse",
];
/// Colours of pets.
pub const COLORS: [&str; 8] = [
    "red", "blue", "green", "black", "white", "brown", "yellow", "gray",
];
/// Food.
pub const FOODS: [&str; 8] = [
    "soup", "bread", "rice", "cheese", "fish", "cake", "apples", "beans",
];
/// Objects that change hands.
pub const OBJECTS: [&str; 12] = [
    "lamp", "book", "chair", "clock", "knife", "drum", "ring", "map", "vase", "coat", "boat",
    "piano",
];
/// Places to go to.
pub const VENUES: [&str; 8] = [
    "market", "school", "lake", "museum", "park", "harbor", "library", "church",
];
/// Days.
pub const DAYS: [&str; 7] = [
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
];
