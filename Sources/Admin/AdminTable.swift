// What is on the admin address? Everything, in the order in which the documents tell it.

enum AdminTable {
    typealias Row = Route<AdminContext>

    static let routes =
        UpstreamRoutes.table + DefinitionRoutes.table + EventRoutes.table + FleetRoutes.table
        + StateRoutes.table + HistoryRoutes.table + NotifyRoutes.table
        + AgentRoutes.table + OpenAPI.table + [
            Row(.get, "/", .read, dashboard)
        ]

    private static func dashboard(_: Request, _: AdminContext) -> Response {
        .text(Dashboard.page, type: "text/html; charset=utf-8")
    }
}
